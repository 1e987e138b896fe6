"""A spider with a shop of its own, without a network: its pages hang as long as ``SHOP_HANGS`` is set."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from typing import Any

from scrapy import Request, Spider
from scrapy.core.downloader.handlers.base import BaseDownloadHandler
from scrapy.http import Response, TextResponse

from scrapy_t8.spiders import T8SpiderMixin

SHOP, DOWN = "http://shop.test", "http://down.test"
PAGES, CARS = 3, 4
LIST, DETAIL = "LIST_COLLECTION", "DETAIL_COLLECTION"
KILL_AFTER = 2.0
"""Seconds in which everything has happened that can happen before the hanging pages are answered."""


class Shop(BaseDownloadHandler):
    """Answers the requests for the pages of the shop."""

    async def download_request(self, request: Request) -> Response:
        name = request.url.split("/")[3]
        hangs = self.crawler.settings.getbool("SHOP_HANGS")
        if hangs and name == "slow":
            await asyncio.sleep(3600)
        if hangs and name == "busy":
            return TextResponse(request.url, status=503)
        return TextResponse(request.url, status=404 if name == "gone" else 200)


class ShopSpider(T8SpiderMixin, Spider):
    """Lists with cars, and one page of each kind of trouble."""

    name = "shop"
    custom_settings = {  # noqa: RUF012
        "ADDONS": {"scrapy_t8.T8Addon": 500},
        "DOWNLOAD_HANDLERS": {"http": "shop.Shop"},
        "CONCURRENT_REQUESTS": 4,
        "CONCURRENT_REQUESTS_PER_DOMAIN": 4,
        "DOWNLOAD_DELAY": 0,
        "T8_COMMIT_INTERVAL": 0.01,
        "T8_ITEM_KEY": "slug",
        "T8_RETRY_JITTER": 0,
        "T8_RETRY_BASE": 600,
        "T8_RETRY_WAIT": 5,
        "T8_UPDATE_INTERVAL": 0,
        "T8_BREAKER_FAILURES": 3,
        "LOG_LEVEL": "WARNING",
        "TELNETCONSOLE_ENABLED": False,
    }

    async def start(self) -> AsyncIterator[Any]:
        """Yield the lists, and the pages that go wrong."""
        if self.crawler.settings.getbool("SHOP_HANGS"):
            asyncio.get_running_loop().call_later(KILL_AFTER, os.kill, os.getpid(), signal.SIGKILL)
        for page in range(1, PAGES + 1):
            yield self.t8.at(self._page(f"list/{page}", priority=10), LIST, "cars", position=page, page=page)
        yield self._page("bug", self.parse_bug, priority=9)
        yield self._page("gone", priority=9)
        for number in range(3):
            yield Request(f"{DOWN}/busy/{number}", self.parse_car, priority=9, meta={"slug": f"busy-{number}"})
        for number in range(8):
            yield self._page(f"slow/{number}", self.parse_car, slug=f"slow-{number}")

    def parse(self, response: Response) -> Iterator[Any]:
        """Yield one car twice, cars that have details, and what is expected besides."""
        page = int(response.url.rpartition("/")[2])
        self.t8.describe(LIST, "cars", {"tag": "汽车"})
        self.t8.expect(f"only-announced-{page}", source="list")
        yield {"slug": f"listed-{page}", "page": page}
        yield {"slug": "on-each-page", "page": page}
        for number in range(CARS):
            slug = f"car-{page}-{number}"
            request = self._page(f"car/{slug}", self.parse_car, priority=5, slug=slug)
            yield self.t8.expect_from(request, slug, "list")

    def parse_car(self, response: Response) -> Iterator[Any]:
        """Yield the car of a page; and again what a list has had, as it was and changed."""
        slug = response.meta["slug"]
        yield {"slug": slug, "page": 0}
        if slug == "slow-0":
            yield {"slug": "listed-1", "page": 1}
            yield {"slug": "listed-2", "page": 9}

    def parse_bug(self, response: Response) -> None:
        """Fail as long as the shop hangs."""
        if self.crawler.settings.getbool("SHOP_HANGS"):
            raise ZeroDivisionError("a bug of the spider")

    def _page(self, path: str, callback: Any = None, priority: int = 0, **meta: Any) -> Request:
        return Request(f"{SHOP}/{path}", callback, priority=priority, meta=meta)


def slugs(feed: str) -> list[str]:
    """Return the slugs in the text of a *feed*, sorted."""
    return sorted(json.loads(line)["slug"] for line in feed.splitlines())
