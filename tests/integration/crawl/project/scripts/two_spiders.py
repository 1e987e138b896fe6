"""Crawls two spiders in one process: ``two_spiders.py async|deferred|reactorless apart|same``."""

from __future__ import annotations

import sys
from typing import Any

from base import NotingSpider
from scrapy.crawler import AsyncCrawlerProcess, CrawlerProcess
from scrapy.utils.project import get_project_settings

from tests.support.probe import may_end


class One(NotingSpider):
    name = "one"

    async def start(self) -> Any:
        for number in range(8):
            yield self.to(f"slow/30/{self.name}/{number}", dont_filter=True)

    def parse(self, response: Any) -> Any:
        yield from self.leaf(response)
        yield self.to(f"p/{self.name}/of-{response.url.rpartition('/')[2]}", self.leaf, dont_filter=True)

    def leaf(self, response: Any) -> Any:
        may_end(f"page of {self.name}")
        yield from super().leaf(response)


class Two(One):
    name = "two"


def main(kind: str, where: str) -> int:
    """Returns 1 if a crawl could not begin, as the commands of Scrapy do."""
    settings = get_project_settings()
    settings["ADDONS"] = {"scrapy_t8.T8Addon": 500}
    settings["FEEDS"] = {"items-%(name)s.jsonl": {"format": "jsonlines"}}
    settings["EXTENSIONS"] = {}
    settings["TWISTED_REACTOR_ENABLED"] = kind != "reactorless"
    process: Any = (CrawlerProcess if kind == "deferred" else AsyncCrawlerProcess)(settings)
    for spider in (One, Two):
        spider.custom_settings = {"JOBDIR": "job" if where == "same" else f"job-{spider.name}"}
        process.crawl(spider)
    process.start()
    return int(process.bootstrap_failed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
