"""One crawl in blocks with books of items and without: its spider, and the extension that switches and measures."""

from __future__ import annotations

import atexit
import json
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.http import HtmlResponse, Response

from benchmarks.bench_settings import BLOCKS_FILE, CONCURRENT_REQUESTS
from benchmarks.bench_site import PER_LIST
from benchmarks.bench_spiders import ShopSpider
from scrapy_t8.core.items.expectations import expecting
from scrapy_t8.core.job.job import Job

if TYPE_CHECKING:
    from typing_extensions import Self

PER_BLOCK = 150
"""Items of a block: a fifth of a second."""
LISTS_PER_BLOCK = PER_BLOCK // PER_LIST
FULL = 0.8
"""A block counts if this part of its pages came in one go."""
PRODUCT = re.compile(r"/product/(\d+)$")


class BlocksSpider(ShopSpider):
    """All list pages one by one, then all products. Those of every other block, or so, are expected."""

    name = "blocks"
    custom_settings = {"CONCURRENT_REQUESTS": 1}  # noqa: RUF012

    def __init__(self, site: str, pages: str, seed: str, **kwargs: Any) -> None:
        super().__init__(site, **kwargs)
        self._pages = int(pages)
        rng, self._have_books = random.Random(int(seed)), list[bool]()
        while len(self._have_books) * PER_BLOCK < self._pages:
            self._have_books += rng.sample([True, False], 2)

    def has_books(self, product: int) -> bool:
        """Whether this one is expected, and its item written down."""
        return self._have_books[product // PER_BLOCK]

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Request]:
        """Go from the front page to all list pages, which come first, and from each to its products."""
        assert isinstance(response, HtmlResponse)
        if "/list/" not in response.url:
            for number in range(1, self._pages // PER_LIST):
                yield response.follow(f"/list/{number}", priority=1)
        for request in response.follow_all(css="a.product", callback=self.parse_product):
            product = product_of(request.url)
            if product is not None and self.has_books(product):
                expecting(request, request.url, "list", by_page=True)
            yield request


class Alternation:
    """Turns the books of items off and on as the crawl comes to another block, and measures the CPU time of each."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Measure this crawler."""
        alternation = cls(crawler)
        crawler.signals.connect(alternation.engine_started, signals.engine_started)
        crawler.signals.connect(alternation.response_received, signals.response_received)
        atexit.register(alternation.write)
        return alternation

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._here: tuple[str, int] | None = None
        self._before: tuple[str, int] | None = None
        self._pages = 0
        self._began = 0.0
        self._blocks: list[dict[str, Any]] = []

    def engine_started(self) -> None:
        """Know what is to be switched."""
        assert self._crawler.engine is not None
        self._job = Job.required(self._crawler)
        self._downloader = self._crawler.engine.downloader
        self._pipelines: Any = self._crawler.engine.scraper.itemproc.methods["process_item"]
        self._all_pipelines = list(self._pipelines)

    def response_received(self, response: Response) -> None:
        """Begin another block if *response* is of one. Those that overtake each other do not count."""
        product, at_list = product_of(response.url), re.search(r"/list/(\d+)$", response.url)
        if product is not None:
            self._downloader.total_concurrency = CONCURRENT_REQUESTS
            here = ("item", product // PER_BLOCK)
        elif at_list is not None:
            here = ("list", int(at_list.group(1)) // LISTS_PER_BLOCK)
        else:
            return
        if here == self._here:
            self._pages += 1
        elif here != self._before:
            self._end()
            self._begin(here)

    def _end(self) -> None:
        self._job.flush()
        spent = time.process_time() - self._began
        if self._here is None:
            return
        what, number = self._here
        if self._pages >= FULL * (PER_BLOCK if what == "item" else LISTS_PER_BLOCK):
            books, cpu = self._has_books(number), spent / self._pages
            self._blocks.append({"what": what, "number": number, "books": books, "cpu": cpu})

    def _begin(self, here: tuple[str, int]) -> None:
        self._before, self._here, self._pages = self._here, here, 1
        books = self._has_books(here[1])
        self._pipelines.clear()
        self._pipelines.extend(self._all_pipelines if books else ())
        self._job.items.keeps_ledger = self._job.items._counts_entries = books
        self._began = time.process_time()

    def _has_books(self, block: int) -> bool:
        spider = self._crawler.spider
        assert isinstance(spider, BlocksSpider)
        return spider.has_books(block * PER_BLOCK)

    def write(self) -> None:
        """Leave the blocks in the working directory of the crawl."""
        Path(BLOCKS_FILE).write_text(json.dumps(self._blocks))


def product_of(url: str) -> int | None:
    """The number of the product whose page this is."""
    found = PRODUCT.search(url)
    return int(found.group(1)) if found else None
