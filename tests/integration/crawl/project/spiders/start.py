"""Spiders whose ``start()`` is slow, yields items or raises; sitemaps, rules, long lists of URLs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, ClassVar

from base import NotingSpider, page_of
from scrapy.exceptions import DropItem
from scrapy.linkextractors import LinkExtractor
from scrapy.spiders import CrawlSpider, Rule, SitemapSpider

from scrapy_t8.core.frontier import queues
from tests.support.probe import SITE, may_end, note, switched_on


class Patient(NotingSpider):
    """Its ``start()`` waits, as for a database, and yields items between the requests."""

    name = "patient"
    last = "slow/500"
    """How the page after the last one is."""
    custom_settings: ClassVar = {"ITEM_PIPELINES": {f"{__name__}.Sieve": 100}}

    async def start(self) -> AsyncIterator[Any]:
        note("start begins")
        for number in range(6):
            yield {"start": number % 3}
            yield {"start": number, "unwanted": True}
            yield self.to(f"p/{number}", dont_filter=bool(number % 2))
            yield self.to("p/same", dont_filter=True)
            await asyncio.sleep(0.12)
            may_end(f"start {number}")
        yield {"start": "last"}
        may_end("end of start")

    def parse(self, response: Any) -> Any:
        name = page_of(response)
        yield from self.leaf(response)
        kind = self.last if name == "p/5" else "slow/500"
        yield self.to(f"{kind}/of/{name}", self.leaf, dont_filter=True)


class Timed(NotingSpider):
    """Its ``start()`` yields items that have another *value* in each run."""

    name = "timed"
    value = "time"

    async def start(self) -> AsyncIterator[Any]:
        for number in range(6):
            values = {"time": time.time_ns(), "none": 0, "some": time.time_ns() if number > 4 else 0}
            yield {"start": number, "value": values[self.value]}
            yield self.to(f"p/{number}", self.leaf)
            await asyncio.sleep(0.12)
            may_end(f"start {number}")


class Fragile(NotingSpider):
    """Its callback yields two items that have another *value* in each run, and raises in the first run."""

    name = "fragile"
    value = "time"

    async def start(self) -> AsyncIterator[Any]:
        yield self.to("p/0")

    def parse(self, response: Any) -> Any:
        for number in range(2):
            yield {"page": number, "value": time.time_ns() if self.value == "time" else 0}
        if not switched_on("fixed"):
            raise ValueError("not yet")
        yield {"page": "more", "value": 0}


class DoesNotClose:
    """Raises an exception as it closes."""

    def process_item(self, item: Any) -> Any:
        return item

    def close_spider(self) -> None:
        raise OSError("the disk is full")


class Sieve:
    """Takes longer for an item than ``start()`` for the next one."""

    async def process_item(self, item: Any) -> Any:
        if item.get("unwanted"):
            raise DropItem("unwanted")
        await asyncio.sleep(0.2)
        may_end(f"item {item.get('start')}")
        return item


class Offered(NotingSpider):
    """Yields nothing but items, from ``start()``, and its pipeline takes *seconds* for each of the first run."""

    name = "offered"
    custom_settings: ClassVar = {"ITEM_PIPELINES": {f"{__name__}.Slow": 100}}
    seconds = "0"

    async def start(self) -> AsyncIterator[Any]:
        for number in range(12):
            yield {"start": number}
            await asyncio.sleep(0.01)
            may_end(f"start {number}")


class Slow:
    """Takes as long for an item as the spider says."""

    @classmethod
    def from_crawler(cls, crawler: Any) -> Slow:
        slow = cls()
        slow.crawler = crawler
        return slow

    crawler: Any

    async def process_item(self, item: Any) -> Any:
        note(f"enters {item['start']}")
        await asyncio.sleep(float(self.crawler.spider.seconds))
        return item


class LoggingIn(NotingSpider):
    """Gets a token at the beginning of ``start()``, which each callback needs, and is slow to read to its end."""

    name = "logging-in"
    pause = "0"

    async def start(self) -> AsyncIterator[Any]:
        await self.log_in()
        for number in range(8):
            yield self.to(f"p/{number}")
            await asyncio.sleep(float(self.pause))

    async def log_in(self) -> None:
        note("login begins")
        if switched_on("locked out"):
            raise PermissionError("wrong password")
        response = await self.crawler.engine.download_async(self.to("slow/300/login", dont_filter=True))
        self.session = {"token": f"token{response.status}"}
        note("login ends")

    def parse(self, response: Any) -> Any:
        note(f"page {page_of(response)}")
        may_end("page")
        yield {"page": page_of(response)}
        yield self.to(f"{page_of(response)}/{self.session['token']}", self.leaf)


class Beginning(LoggingIn):
    """Logs in with the method that each run calls."""

    name = "beginning"

    async def start(self) -> AsyncIterator[Any]:
        for number in range(8):
            yield self.to(f"p/{number}")

    async def t8_begin(self) -> None:
        await self.log_in()


class Raising(NotingSpider):
    """Its ``start()`` raises an exception in the middle, until it is fixed."""

    name = "raising"

    async def start(self) -> AsyncIterator[Any]:
        for number in range(5):
            yield self.to(f"p/{number}", self.leaf, dont_filter=True)
            yield {"start": number}
            if number == 2 and not switched_on("fixed"):
                raise ValueError("in the middle of start()")


class Sitemap(SitemapSpider):
    name = "sitemap"
    custom_settings: ClassVar = {"CONCURRENT_REQUESTS": 2}
    sitemap_urls = (f"{SITE}/sitemap.xml",)

    def parse(self, response: Any) -> Any:
        yield from NotingSpider.leaf(self, response)


class Rules(CrawlSpider):
    name = "rules"
    start_urls = (f"{SITE}/tree/1",)
    rules = (Rule(LinkExtractor(allow=r"/tree/\d+"), callback="parse_page", follow=True),)

    def parse_start_url(self, response: Any) -> Any:
        note("page start")
        return {"page": "start"}

    def parse_page(self, response: Any) -> Any:
        yield from NotingSpider.leaf(self, response)


class Many(NotingSpider):
    """Far more start URLs than a queue holds in memory. Scrapy does not filter them."""

    name = "many"
    start_urls = tuple(f"data:,{number}" for number in range(400))

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        queues.KEEP, queues.LOAD = queues.KEEP // 4, queues.LOAD // 4

    def parse(self, response: Any) -> Any:
        may_end("page")
        yield {"page": response.text}
