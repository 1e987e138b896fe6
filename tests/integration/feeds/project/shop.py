"""The spiders of these tests: no network, always the same items, and they kill themselves where they are told to.

What they count and hear goes to ``<name>.run.json``.
"""

import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, ClassVar

import shop_parts
from scrapy import Request, Spider, signals
from scrapy.crawler import Crawler
from scrapy.http import Response

from scrapy_t8.stores.sqlite.store import SQLiteStore

PAGES, CHILDREN = 24, 6
LARGE, EMPTY = 5, 6
"""A page whose items span several batches, and one that has none."""


class WatchedSpider(Spider):
    """Has a recorder and a fate."""

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> "WatchedSpider":
        spider = super().from_crawler(crawler, *args, **kwargs)
        spider.recorder = Recorder(crawler)
        spider.fate = Fate(os.environ.get("DIE", ""))
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
            yield shop_parts.make(0, part)
        for page in range(1, 2 if self.order == "chain" else PAGES + 1):
            yield request(page)

    def parse(self, response: Response) -> Iterator[Any]:
        page = int(response.text)
        if "SILENT" not in os.environ:
            yield from self.items(page)
        self.fate.comes_to("page")
        if self.order == "chain":
            if (following := page + 1 if page != PAGES else 101) <= 100 + CHILDREN:
                yield request(following)
        elif page <= CHILDREN:
            yield request(page + 100)

    def items(self, page: int) -> Iterator[Any]:
        for part in range({LARGE: 24, EMPTY: 0}.get(page, 1 + page % 4)):
            yield shop_parts.make(page, part)


class AwkwardSpider(ShopSpider):
    """Its fourth page yields items that exporters or the codec do not take."""

    name = "awkward"

    def items(self, page: int) -> Iterator[Any]:
        if page == 4:
            yield from shop_parts.awkward()
        yield from super().items(page)


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
            self.fate.comes_to("item")
        self.crawler.stats.set_value("grown", resident() - before)


def request(page: int) -> Request:
    return Request(f"data:text/plain,{page}")


class Fate:
    """Dies at the n-th time of what ``DIE`` names: ``page:7``, ``item:500``, ``page:7 items.jsonl``.

    ``commit:3`` is between the writing of the feeds and the commit that says so. Where a file is named, that one is
    removed, and the process lives.
    """

    def __init__(self, what: str) -> None:
        what, _, self._victim = what.partition(" ")
        self._event, _, number = what.partition(":")
        self._left = int(number or 0)
        if self._event == "commit":
            self._before_commits()

    def comes_to(self, event: str) -> None:
        if event == self._event:
            self._left -= 1
            if not self._left and self._victim:
                os.unlink(self._victim)
            elif not self._left:
                os.kill(os.getpid(), signal.SIGKILL)

    def _before_commits(self) -> None:
        commit, items = SQLiteStore.commit, None

        def committing(store: SQLiteStore, batch: Any, job: Any, now: float) -> None:
            nonlocal items
            if items not in (None, job.ledger.exported):
                self.comes_to("commit")
            items = job.ledger.exported
            commit(store, batch, job, now)

        SQLiteStore.commit = committing


class Recorder:
    """Statistics, and the signals of the feeds, as JSON."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._slots: list[Any] = []
        self._closed = 0
        crawler.signals.connect(self._slot_closed, signals.feed_slot_closed)
        crawler.signals.connect(self._exporter_closed, signals.feed_exporter_closed)
        crawler.signals.connect(self._spider_closed, signals.spider_closed)
        crawler.signals.connect(self._write, signals.engine_stopped)

    async def _slot_closed(self, slot: Any) -> None:
        here = Path(slot.storage.path).exists() if hasattr(slot.storage, "path") else None
        self._slots.append([slot.uri_template, slot.uri, slot.batch_id, slot.itemcount, here])

    def _exporter_closed(self) -> None:
        self._closed += 1

    def _spider_closed(self, reason: str) -> None:
        self._crawler.stats.set_value("finish_reason", reason)

    def _write(self) -> None:
        told = {"stats": self._crawler.stats.get_stats(), "slots": self._slots, "closed": self._closed}
        Path(f"{self._crawler.spider.name}.run.json").write_text(json.dumps(told, default=str))


def resident() -> int:
    """The resident size of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
