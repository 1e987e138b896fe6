"""A crawl without network, to be killed: `python -m scrapy_t8.commands.selfcheck.crawl JOBDIR FEED PAGES`."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from scrapy import Request, Spider
from scrapy.crawler import CrawlerProcess
from scrapy.http import Response


class SelfTestSpider(Spider):
    """Crawls pages whose content is in their URLs."""

    name = "t8-selftest"
    pages = 0

    async def start(self) -> AsyncIterator[Request]:
        yield Request("data:,0")

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        page = int(response.body)
        yield {"page": page}
        # Two children each, so that the frontier is never empty before the end.
        for child in (2 * page + 1, 2 * page + 2):
            if child < int(self.pages):
                yield Request(f"data:,{child}")


def main(jobdir: str, feed: str, pages: str) -> None:
    process = CrawlerProcess(
        {
            "ADDONS": {"scrapy_t8.T8Addon": 500},
            "JOBDIR": jobdir,
            "FEEDS": {Path(feed).absolute(): {"format": "jsonlines", "overwrite": True}},
            "TELNETCONSOLE_ENABLED": False,
            "LOG_LEVEL": "WARNING",
            "CONCURRENT_REQUESTS_PER_DOMAIN": 4,
        }
    )
    process.crawl(SelfTestSpider, pages=pages)
    process.start()


if __name__ == "__main__":
    main(*sys.argv[1:])
