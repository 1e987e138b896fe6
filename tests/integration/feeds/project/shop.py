"""The spiders of these tests: no network, always the same items."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, ClassVar

import feed_parts
from scrapy import Request, Spider, signals
from scrapy.crawler import Crawler
from scrapy.http import Response

from scrapy_t8.stores.sqlite.store import SQLiteStore
from tests.support.probe import may_end, note, resident, switched_on

PAGES, CHILDREN = 24, 6
LARGE, EMPTY = 5, 6
"""A page whose items span several batches, and one that has none."""


class WatchedSpider(Spider):
    """Has a recorder."""

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> "WatchedSpider":
        spider = super().from_crawler(crawler, *args, **kwargs)
        spider.recorder = Recorder(crawler)
        return spider


class ShopSpider(WatchedSpider):
    """``start()`` yields three items and the requests of the pages; the first pages yield one more page each.

    With ``-a order=chain`` each page yields the next one instead: the same items, in an order that is always the same.
    """

    name = "shop"
    shard = "north"
    order = "any"

    async def start(self) -> AsyncIterator[Any]:
        for part in range(3):
            yield feed_parts.make(0, part)
        for page in range(1, 2 if self.order == "chain" else PAGES + 1):
            yield request(page)

    def parse(self, response: Response) -> Iterator[Any]:
        page = int(response.text)
        if not switched_on("silent"):
            yield from self.items(page)
        may_end("page")
        if self.order == "chain":
            if (following := page + 1 if page != PAGES else 101) <= 100 + CHILDREN:
                yield request(following)
        elif page <= CHILDREN:
            yield request(page + 100)

    def items(self, page: int) -> Iterator[Any]:
        for part in range({LARGE: 24, EMPTY: 0}.get(page, 1 + page % 4)):
            yield feed_parts.make(page, part)


class AwkwardSpider(ShopSpider):
    """Its fourth page yields items that exporters or the codec do not take."""

    name = "awkward"

    def items(self, page: int) -> Iterator[Any]:
        if page == 4:
            yield from feed_parts.awkward()
        yield from super().items(page)


class ReadingSpider(ShopSpider):
    """Counts the items of its feeds when it is closed, in ``closed()`` and in a handler of the signal."""

    name = "reading"

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> "ReadingSpider":
        spider = super().from_crawler(crawler, *args, **kwargs)
        crawler.signals.connect(spider.read, signals.spider_closed)
        return spider

    def closed(self, reason: str) -> None:
        may_end("closed")
        self.read()

    def read(self) -> None:
        lines = len(Path("lines.jsonl").read_text().splitlines())
        note(f"read {lines} {len(json.loads(Path('whole.json').read_text()))}")


class HugePageSpider(WatchedSpider):
    """One page with very many items."""

    name = "huge"
    count = width = "0"
    # What each item costs outside of the feeds is not what these tests are about.
    custom_settings: ClassVar[dict[str, Any]] = {
        "SPIDER_MIDDLEWARES_BASE": {},
        "EXTENSIONS_BASE": {},
    }

    async def start(self) -> AsyncIterator[Any]:
        yield request(1)

    def parse(self, response: Response) -> Iterator[Any]:
        before = resident()
        for number in range(int(self.count)):
            yield {"n": number, "text": "x" * int(self.width)}
            may_end("item")
        self.crawler.stats.set_value("grown", resident() - before)


def request(page: int) -> Request:
    return Request(f"data:text/plain,{page}")


def end_between_feeds_and_commit() -> None:
    """Let ``CRAWL_END`` name the moments between the writing of items to the feeds and the commit that says so."""
    commit, items = SQLiteStore.commit, None

    def committing(store: SQLiteStore, batch: Any, job: Any, now: float) -> None:
        nonlocal items
        if items not in (None, job.ledger.exported):
            may_end("commit")
        items = job.ledger.exported
        commit(store, batch, job, now)

    SQLiteStore.commit = committing


end_between_feeds_and_commit()


class Recorder:
    """Puts the signals of the feeds into the statistics."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._slots: list[Any] = []
        self._closed = 0
        crawler.signals.connect(self._slot_closed, signals.feed_slot_closed)
        crawler.signals.connect(self._exporter_closed, signals.feed_exporter_closed)
        crawler.signals.connect(self._record, signals.spider_closed)
        crawler.signals.connect(self._record, signals.engine_stopped)

    async def _slot_closed(self, slot: Any) -> None:
        here = Path(slot.storage.path).exists() if hasattr(slot.storage, "path") else None
        self._slots.append([slot.uri_template, slot.uri, slot.batch_id, slot.itemcount, here])

    def _exporter_closed(self) -> None:
        self._closed += 1

    def _record(self) -> None:
        self._crawler.stats.set_value("test/slots", self._slots)
        self._crawler.stats.set_value("test/closed", self._closed)
