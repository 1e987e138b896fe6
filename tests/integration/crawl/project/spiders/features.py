"""Spiders that use more of Scrapy, or components of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, ClassVar

from base import NotingSpider, page_of
from scrapy.core.scheduler import Scheduler
from scrapy.dupefilters import BaseDupeFilter
from scrapy.statscollectors import MemoryStatsCollector

from tests.support.probe import may_end, note


class Featured(NotingSpider):
    """Cache, robots.txt, AutoThrottle; and statistics that the spider has brought itself."""

    name = "featured"
    custom_settings: ClassVar = {
        "HTTPCACHE_ENABLED": True,
        "HTTPCACHE_DIR": "../cache",
        "ROBOTSTXT_OBEY": True,
        "AUTOTHROTTLE_ENABLED": True,
        "AUTOTHROTTLE_START_DELAY": 0.02,
        "AUTOTHROTTLE_MAX_DELAY": 0.05,
    }

    async def start(self) -> AsyncIterator[Any]:
        self.crawler.stats = Statistics(self.crawler, self.crawler.stats)
        for number in range(8):
            yield self.to(f"p/{number}", dont_filter=True)

    def parse(self, response: Any) -> Any:
        self.crawler.stats.inc_value("of/the/spider")
        yield from self.leaf(response)
        yield self.to(f"{page_of(response)}/more", self.leaf, dont_filter=True)
        yield self.to("private/p", self.leaf, errback=self.forbidden)

    def forbidden(self, failure: Any) -> Any:
        note("page forbidden")
        may_end("forbidden")
        yield {"forbidden": page_of(failure.request)}


class Statistics(MemoryStatsCollector):
    """Goes on with what another collector has counted so far."""

    def __init__(self, crawler: Any, before: Any) -> None:
        super().__init__(crawler)
        self._stats = before.get_stats()


class Files(NotingSpider):
    """Items that are not done before their files are there."""

    name = "files"
    custom_settings: ClassVar = {
        "ITEM_PIPELINES": {"scrapy.pipelines.files.FilesPipeline": 100, f"{__name__}.Plainly": 200},
        "FILES_STORE": "files",
    }

    async def start(self) -> AsyncIterator[Any]:
        for number in range(6):
            yield self.to(f"p/{number}")

    def parse(self, response: Any) -> Any:
        name = page_of(response)
        note(f"page {name}")
        may_end(name)
        yield {"page": name, "file_urls": [self.to(f"slow/60/{name}-{part}.bin").url for part in "ab"]}


class Plainly:
    """Of a file, keeps only what is the same whenever it was fetched; then may be the end."""

    def process_item(self, item: Any) -> Any:
        files = sorted(file["checksum"] for file in item["files"])
        may_end(f"files of {item['page']}")
        return {"page": item["page"], "files": files}


class Unfiltered(NotingSpider):
    """A duplicate filter of its own, which filters nothing and remembers nothing."""

    name = "unfiltered"
    custom_settings: ClassVar = {"DUPEFILTER_CLASS": BaseDupeFilter}

    async def start(self) -> AsyncIterator[Any]:
        yield self.to("p/1")
        yield self.to("p/1")

    def parse(self, response: Any) -> Any:
        name = page_of(response)
        note(f"page {name}")
        yield {"page": name}
        if name.count("/") < 3:
            for child in (1, 2, 2):
                yield self.to(f"{name}/{child}")
                may_end(f"{name}/{child}")


class OwnScheduler(Scheduler):
    """A scheduler that the project has chosen itself."""


class Scheduled(NotingSpider):
    name = "scheduled"
    custom_settings: ClassVar = {"SCHEDULER": OwnScheduler}

    async def start(self) -> AsyncIterator[Any]:
        yield self.to("p/1", self.leaf)
