"""The host of a request, and probes of a host with a page that was answered before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Any, Protocol
from urllib.request import getproxies

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.exceptions import IgnoreRequest
from scrapy.utils.httpobj import urlparse_cached
from scrapy.utils.response import response_status_message

from scrapy_t8.core import scrapy_private
from scrapy_t8.utils.text import one_line

KNOWN, PAGES = 1000, 8
"""Slots of which answered pages are remembered, and how many of each."""
DEFAULT_PORTS = {"http": 80, "https": 443}
ASKED_ONCE: dict[str, Any] = {
    "dont_retry": True,
    "dont_redirect": True,
    "dont_cache": True,
    "dont_merge_cookies": True,
    "dont_obey_robotstxt": True,
}
"""Meta of a request that only shows whether its host answers: it changes no session and comes from no cache."""


class Hosts:
    """The hosts of one run.

    :param pause: seconds after which a page may be requested again.
    """

    def __init__(self, crawler: Crawler, *, clock: Callable[[], float], pause: float) -> None:
        self._crawler = crawler
        self._clock = clock
        self._pause = pause
        self._answered: dict[str, list[tuple[float, Request]]] = {}
        """By slot: when each page was requested last, and its request."""
        self._unaskable: set[str] = set()
        self._own_proxies = {_address(proxy) for proxy in getproxies().values()}

    def slot(self, request: Request) -> str:
        """Return the download slot of *request*."""
        assert self._crawler.engine is not None
        return self._crawler.engine.downloader.get_slot_key(request)

    def name(self, request: Request) -> str:
        """Return the download slot of *request*, with the port if that is not the usual one."""
        url = urlparse_cached(request)
        slot = self.slot(request)
        try:
            port = url.port
        except ValueError:  # such a request has no host, and fails
            port = None
        return slot if port in (None, DEFAULT_PORTS.get(url.scheme)) else f"{slot}:{port}"

    def is_behind_proxy(self, request: Request) -> bool:
        """Whether *request* has a proxy of its own. A proxy of the environment is the way to every host."""
        proxy = request.meta.get("proxy")
        return isinstance(proxy, str) and bool(proxy) and _address(proxy) not in self._own_proxies

    def remember(self, slot: str, request: Request) -> None:
        """Remember a request of *slot* that was answered, if few are remembered."""
        answered = self._answered.get(slot)
        if answered is None:
            if len(self._answered) >= KNOWN:
                self._answered.clear()
            answered = self._answered[slot] = []
        if len(answered) < PAGES and request.method == "GET" and not self.is_behind_proxy(request):
            answered.append((self._clock(), request))

    def ask_no_more(self, host: str) -> None:
        """Stop using pages of *host* as probes: a middleware holds such requests back."""
        self._unaskable.add(host)

    def answered(self) -> set[str]:
        """Return the hosts that have answered in this run."""
        return {self.name(request) for pages in self._answered.values() for _, request in pages}

    def _pages(self, host: str) -> list[tuple[float, Request]]:
        """Return the pages that are remembered of the slot of *host*, which may have other hosts."""
        return self._answered.get(host) or self._answered.get(host.rpartition(":")[0], [])

    def known_page_from(self, host: str) -> float | None:
        """Return when a page of *host* may be requested again, in Unix seconds; None if none was answered."""
        if host in self._unaskable:
            return None
        asked = [when for when, request in self._pages(host) if self.name(request) == host]
        return min(asked) + self._pause if asked else None

    def known_page(self, host: str, *, at_once: bool = False) -> Request | None:
        """Return a request for a page that *host* has answered, the one that was requested longest ago; None if none.

        No page is requested again sooner than a retry would be, unless *at_once*.
        """
        ready = self.known_page_from(host)
        if ready is None or (ready > self._clock() and not at_once):
            return None
        pages = self._pages(host)
        answered = next(page for page in pages if page[0] + self._pause == ready and self.name(page[1]) == host)
        pages.remove(answered)
        pages.append((self._clock(), answered[1]))
        known = answered[1]
        meta = {key: value for key, value in known.meta.items() if key in ("download_slot", "proxy")}
        return Request(known.url, headers=known.headers, meta=meta | ASKED_ONCE, dont_filter=True)


class ProbeResults(Protocol):
    """Receives the results of probes."""

    hosts: Hosts

    def known_page_answered(self, host: str) -> None:
        """Record that *host* has answered."""

    def known_page_failed(self, host: str, error: str) -> None:
        """Record that *host* has not answered."""

    def known_page_not_asked(self, host: str) -> None:
        """Record that a middleware has held the probe back."""


class KnownPageProbes:
    """Probes hosts that may be down with pages that were answered before. A probe belongs to no page of the job.

    :param has_requests: whether any request of the job waits. No host is probed for nothing.
    """

    def __init__(self, crawler: Crawler, results: ProbeResults, *, has_requests: Callable[[], bool]) -> None:
        self._crawler = crawler
        self._results = results
        self._has_requests = has_requests
        self._tasks: set[asyncio.Task[None]] = set()

    def __bool__(self) -> bool:
        """Whether a probe is in flight."""
        return bool(self._tasks)

    def begin(self, host: str, *, at_once: bool) -> bool:
        """Probe *host*. Return whether there is a page for a probe.

        :param at_once: whether the page may have been requested just now.
        """
        known = self._results.hosts.known_page(host, at_once=at_once) if self._has_requests() else None
        if known is None:
            return False
        task = Context().run(asyncio.get_running_loop().create_task, self._probe(host, known))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    def close(self) -> None:
        """Cancel the probes in flight."""
        for task in self._tasks:
            task.cancel()

    async def _probe(self, host: str, known: Request) -> None:
        engine = self._crawler.engine
        assert engine is not None
        try:
            response = await engine.download_async(known)
        except IgnoreRequest:
            self._results.known_page_not_asked(host)
        except Exception as error:
            self._results.known_page_failed(host, one_line(f"{type(error).__name__}: {error}"))
        else:
            if response.status < 500:
                self._results.known_page_answered(host)
            else:
                self._results.known_page_failed(host, response_status_message(response.status))
        scrapy_private.schedule_next_call(self._crawler)


def _address(proxy: str) -> str:
    """Return host and port of the URL of a proxy."""
    return proxy.rpartition("//")[2].rpartition("@")[2].rstrip("/")
