"""Crawls without difficulties of their own, to be stopped, to have their state damaged, their space taken away."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

from base import NotingSpider
from scrapy import Request

from scrapy_t8 import t8_run_ended
from tests.support.probe import may_end, note, switched_on

PAGES = 60


class Simple(NotingSpider):
    """Pages with one item and one page more each; *weight* is what a request carries, *size* what an item does."""

    name = "simple"
    custom_settings: ClassVar = {"CONCURRENT_REQUESTS": 4}

    def __init__(self, tag: str = "", weight: str = "0", size: str = "0", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tag = tag
        self._weight = int(weight)
        self._size = int(size)

    async def start(self) -> AsyncIterator[Any]:
        for number in range(PAGES):
            yield self.request(f"{number}", self.parse)

    def request(self, name: str, callback: Any) -> Request:
        return Request(f"data:,{name}", callback, meta={"weight": "x" * self._weight})

    def parse(self, response: Any) -> Any:
        yield from self.page(response)
        yield self.request(f"of-{response.text}", self.page)

    def page(self, response: Any) -> Any:
        note(f"page {response.text}")
        may_end("page")
        yield {"page": response.text, "size": "x" * self._size}

    def closed(self, reason: str) -> None:
        """The scheduler has been closed, the feeds have not."""
        may_end("closed")


class Other(Simple):
    """Another spider, for the same directory."""

    name = "other"


class Renamed(Simple):
    """A callback that is not there any more in a later run, and some that are."""

    name = "renamed"

    def parse(self, response: Any) -> Any:
        yield from self.page(response)
        if not switched_on("renamed"):
            yield self.request(f"old-{response.text}", self.old)
        yield self.request(f"of-{response.text}", self.page)

    if not switched_on("renamed"):

        def old(self, response: Any) -> Any:
            yield from self.page(response)


class Vandal(Simple):
    """Removes the state file while the crawl runs, if that is switched on."""

    name = "vandal"

    def page(self, response: Any) -> Any:
        yield from super().page(response)
        if switched_on("remove") and len(list(Path("job/t8").glob("state.db"))) and response.text == "of-20":
            os.unlink("job/t8/state.db")


class Lingering(NotingSpider):
    """Waits for a page that is held, so that a second process can come."""

    name = "lingering"

    async def start(self) -> AsyncIterator[Any]:
        yield self.to("p/first", self.leaf)
        yield self.to("held/last", self.leaf)


class Monitored(Simple):
    """Writes what the signals at the end of each run say."""

    name = "monitored"

    @classmethod
    def from_crawler(cls, crawler: Any, *args: Any, **kwargs: Any) -> Any:
        spider = super().from_crawler(crawler, *args, **kwargs)
        crawler.signals.connect(spider.run_ended, t8_run_ended)
        return spider

    def run_ended(self, report: dict[str, Any]) -> None:
        stats = self.crawler.stats.get_stats()
        heard = [report["verdict"], stats["t8/verdict"], stats.get("t8/items/exported", 0)]
        heard += [stats.get("t8/job/item_scraped_count"), stats["finish_reason"]]
        with open("heard", "a", encoding="utf-8") as file:
            file.write(json.dumps(heard) + "\n")
        may_end("reported")
