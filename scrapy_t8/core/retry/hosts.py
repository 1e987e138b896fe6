"""Which host a request goes to, and probes of a host with a page that was answered before."""

from __future__ import annotations

import asyncio
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

KNOWN = 1000
"""Hosts of which an answered page is remembered."""
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
    """The hosts of one run."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._answered: dict[str, Request] = {}
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
        """Remember a request of *slot* that was answered."""
        if request.method == "GET":
            if len(self._answered) >= KNOWN and slot not in self._answered:
                self._answered.clear()
            self._answered[slot] = request

    def answered(self) -> set[str]:
        """Return the hosts that have answered in this run."""
        return set(map(self.name, self._answered.values()))

    def known_page(self, host: str, slot: str) -> Request | None:
        """Return a request for a page that *host* has answered before; None if there is none."""
        answered = self._answered.get(slot)
        if answered is None or self.name(answered) != host or self.is_behind_proxy(answered):
            return None
        meta = {key: value for key, value in answered.meta.items() if key in ("download_slot", "proxy")}
        return Request(answered.url, headers=answered.headers, meta=meta | ASKED_ONCE, dont_filter=True)


class ProbeResults(Protocol):
    """Who takes the results of probes."""

    hosts: Hosts

    def known_page_answered(self, host: str) -> None:
        """Take note that *host* has answered."""

    def known_page_failed(self, host: str, error: str) -> None:
        """Take note that *host* has not answered."""

    def known_page_not_asked(self, host: str) -> None:
        """Take note that a middleware has kept the probe back."""


class KnownPageProbes:
    """Probes hosts that may be down with pages that were answered before. A probe belongs to no page of the job."""

    def __init__(self, crawler: Crawler, results: ProbeResults) -> None:
        self._crawler = crawler
        self._results = results
        self._tasks: set[asyncio.Task[None]] = set()

    def __bool__(self) -> bool:
        """Whether a probe is in flight."""
        return bool(self._tasks)

    def begin(self, host: str, slot: str) -> bool:
        """Probe *host*, whose requests are in *slot*. Return whether there is a page that can be asked for."""
        known = self._results.hosts.known_page(host, slot)
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
