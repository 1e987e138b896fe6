"""A crawl that closes itself when it has seen enough, as a daily crawl of what is new does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, ClassVar

from base import NotingSpider, page_of
from scrapy.exceptions import CloseSpider

from scrapy_t8.spiders import T8SpiderMixin
from tests.support.probe import may_end, note, switched_on


class Daily(T8SpiderMixin, NotingSpider):
    """Ten pages, the newest first.

    The switches say what is different: ``enough`` closes the crawl at the fourth page, ``engine`` does so by the
    engine, ``other`` with another reason; ``lambda`` has a page yield requests that cannot be stored; ``failing`` has a
    page fail, ``start`` has ``start()`` fail; ``expecting`` expects an item of each page.
    """

    name = "daily"
    custom_settings: ClassVar = {"CONCURRENT_REQUESTS": 1, "SCHEDULER_MEMORY_QUEUE": "scrapy.squeues.FifoMemoryQueue"}
    t8_done_reasons = ("seen",)

    async def start(self) -> AsyncIterator[Any]:
        if switched_on("failing"):
            yield self.to("status/503/failing", priority=1)
        for page in range(10):
            if page == 5 and switched_on("start"):
                raise ValueError("start() fails")
            request = self.to(f"p/{page}")
            if switched_on("expecting"):
                self.t8.expect_from(request, f"p/{page}")
            yield request
        may_end("start")

    def parse(self, response: Any) -> Any:
        name = page_of(response)
        note(f"page {name}")
        if name == "p/1":
            may_end("early")
        yield {"page": name}
        if switched_on("lambda") and name == "p/2":
            yield from (self.to(f"{name}/{n}", lambda answer: self.leaf(answer), priority=-1) for n in range(3))
        if name == "p/3":
            may_end("enough")
            if switched_on("engine"):
                self.crawler.engine.close_spider(self, "enough")
            elif switched_on("enough") or switched_on("other"):
                raise CloseSpider("enough" if switched_on("enough") else "seen")
