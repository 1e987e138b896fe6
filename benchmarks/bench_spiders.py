"""Two spiders as people write them, and the meter that runs along with them."""

from __future__ import annotations

import atexit
import gc
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scrapy import Request, Spider, signals
from scrapy.crawler import Crawler
from scrapy.http import HtmlResponse, Response
from scrapy.statscollectors import StatsCollector

from benchmarks.bench_settings import METER_FILE

if TYPE_CHECKING:
    from typing_extensions import Self


class ShopSpider(Spider):
    """Knows how to read a product; its children know the way there."""

    allowed_domains = ("127.0.0.1",)

    def __init__(self, site: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.start_urls = [f"{site}/"]

    def parse_product(self, response: Response) -> Iterator[Any]:
        """One item, from about twenty selectors."""
        assert isinstance(response, HtmlResponse)
        yield {
            "sku": response.css("p.sku::text").get(),
            "name": response.css("h1::text").get(),
            "price": response.xpath("//span[@itemprop='price']/@content").get(),
            "crumbs": response.css("nav.crumbs a::text").getall(),
            "description": " ".join(response.css("div.description p::text").getall()),
            "specs": {
                row.css("th::text").get(): row.xpath("./td/text()").get() for row in response.css("table.specs tr")
            },
            "url": response.url,
        }


class PagesSpider(ShopSpider):
    """From list page to list page, each product once."""

    name = "pages"
    expects = ""

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Request]:
        """Go from a list page to its products and to the next list page."""
        assert isinstance(response, HtmlResponse)
        for request in response.follow_all(css="a.product", callback=self.parse_product):
            if self.expects:
                request.meta["t8_expect"] = {"key": request.url, "source": "list", "by_page": True}
            yield request
        yield from response.follow_all(css="a.next")


class LinksSpider(ShopSpider):
    """From product to product along every link, as a broad crawl does."""

    name = "links"

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        """Read a product and go along its links."""
        assert isinstance(response, HtmlResponse)
        yield from self.parse_product(response)
        yield from response.follow_all(css="a.product")


class ReadySpider(ShopSpider):
    """Knows all products from the first page on, and some that do not exist."""

    name = "ready"

    def __init__(self, busy: str = "0", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._busy = int(busy)

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Request]:
        """Ask for all at once."""
        for number in range(self._busy):
            yield response.follow(f"/busy/{number}", priority=1)
        for number in range(int(response.text)):
            yield response.follow(f"/product/{number}", self.parse_product)


class Meter:
    """Writes down the CPU time from the opened spider to the end of the process, and Scrapy's own stats."""

    def __init__(self, stats: StatsCollector) -> None:
        self._stats = stats
        self._opened_at = 0.0

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Measure this crawler."""
        assert crawler.stats is not None
        meter = cls(crawler.stats)
        crawler.signals.connect(meter.spider_opened, signals.spider_opened)
        # Not engine_stopped: what a component still writes after that signal is part of its price.
        atexit.register(meter.write)
        return meter

    def spider_opened(self) -> None:
        """Begin to count: imports and construction are over."""
        self._opened_at = time.process_time()

    def write(self) -> None:
        """Leave the numbers in the working directory of the crawl."""
        cpu = time.process_time() - self._opened_at
        stats = self._stats.get_stats()
        numbers = {
            "cpu": cpu,
            "seconds": stats.get("elapsed_time_seconds", 0.0),
            "responses": stats.get("response_received_count", 0),
            "errors": stats.get("log_count/ERROR", 0),
            "reason": stats.get("finish_reason"),
        }
        Path(METER_FILE).write_text(json.dumps(numbers))


class Freezer:
    """Leaves what is there when the spider opens out of garbage collections, as T8 does, for a crawl without T8."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Freeze for this crawler."""
        freezer = cls()
        crawler.signals.connect(freezer.spider_opened, signals.spider_opened)
        crawler.signals.connect(freezer.spider_closed, signals.spider_closed)
        return freezer

    def spider_opened(self) -> None:
        """Look at nothing that is there by now."""
        gc.collect()
        gc.freeze()

    def spider_closed(self) -> None:
        """Look at everything again."""
        gc.unfreeze()
