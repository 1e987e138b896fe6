"""Which host a request goes to, and a page of each host that was answered."""

from __future__ import annotations

from urllib.request import getproxies

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.utils.httpobj import urlparse_cached

KNOWN = 1000
"""Hosts of which an answered page is remembered."""
DEFAULT_PORTS = {"http": 80, "https": 443}
ASKED_ONCE = {
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
        return bool(proxy) and _address(proxy) not in self._own_proxies

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
        meta = {key: answered.meta[key] for key in ("download_slot", "proxy") if key in answered.meta}
        return Request(answered.url, headers=answered.headers, meta={**meta, **ASKED_ONCE}, dont_filter=True)


def _address(proxy: str) -> str:
    """Return host and port of the URL of a proxy."""
    return proxy.rpartition("//")[2].rpartition("@")[2].rstrip("/")
