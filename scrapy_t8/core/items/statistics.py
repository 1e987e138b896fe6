"""The books of one run that are about pages and items: put together, and part of every commit."""

from __future__ import annotations

from collections import Counter

import msgpack

from scrapy_t8.config.settings import Config
from scrapy_t8.core.page import Page
from scrapy_t8.model.attempts import ScheduledRetry
from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.model.dead_letter import DeadLetter
from scrapy_t8.model.job import JobRecord
from scrapy_t8.stores.base import Store
from scrapy_t8.utils.hashes import hash63

from .coverage import Coverage
from .expectations import Expectations
from .keys import ItemKeys
from .ledger import Dedup, DuplicateExamples, ItemLedger
from .problems import ProblemCounter

OUTCOMES = "outcomes"
"""What became of requests that had failed."""
DUPLICATES = "duplicates"
"""Under this name the store keeps examples of duplicates."""


def open_books(
    store: Store, record: JobRecord, run: int, config: Config, keys: ItemKeys, expectations: Expectations
) -> RunStatistics:
    """The books of *run*, going on from what the store holds."""
    dedup = Dedup(config.dedup, config.dedup_policy, config.dedup_scope)
    coverage, problems = Coverage(store), ProblemCounter(store)
    items = ItemLedger(store.items, record, run, keys, dedup, coverage, problems, expectations, hash63)
    return RunStatistics(record, items, expectations, coverage, problems, store.kept(DUPLICATES))


class RunStatistics:
    """The parts: ``items``, ``expectations``; and a tally of what became of pages, by host and callback.

    :param record: the job, whose ledger is kept.
    """

    def __init__(
        self,
        record: JobRecord,
        items: ItemLedger,
        expectations: Expectations,
        coverage: Coverage,
        problems: ProblemCounter,
        kept: dict[str, bytes],
    ) -> None:
        self.items = items
        self.expectations = expectations
        expectations.has = items.has
        self._record = record
        self._coverage = coverage
        self._problems = problems
        self._tally: Counter[tuple[str, str]] = Counter()
        self._ended: Counter[tuple[str, str, str]] = Counter()
        self._items: Counter[tuple[str, str]] = Counter()
        self._retries = 0
        self._exported = record.ledger.exported
        items.examples = DuplicateExamples([(text, fields) for text, fields in duplicates_of(kept)])

    def settle(self, page: Page) -> None:
        """*page* has settled, or is going to be tried again."""
        self._record.ledger.scraped += page.entered
        if page.expects:
            self.expectations.settle(page)
        verdict = page.verdict
        if isinstance(verdict, ScheduledRetry):
            self._retries += 1
            self._tally["host/retries", verdict.slot] += 1
            if page.story is not None and page.story.attempts:
                self._tally["retries", page.story.attempts[-1][1]] += 1
        elif page.callback and not page.replaced:
            what = "dead" if isinstance(verdict, DeadLetter) else "discarded" if page.dropped else "done"
            self._ended[what, page.host, page.callback] += 1
        if page.story is not None and page.story.attempts and not page.replaced:
            if isinstance(verdict, DeadLetter):
                self._tally[OUTCOMES, "buried"] += 1
            elif verdict is None and not page.dropped:
                self._tally[OUTCOMES, "succeeded"] += 1
        if page.kept and page.callback:
            self._items[page.host, page.callback] += page.kept

    def fill(self, batch: CommitBatch) -> None:
        """Put what has changed into *batch*."""
        self.items.drain(batch)
        self.expectations.drain(batch)
        exported = self._record.ledger.exported
        batch.progress = (self._ended.total(), max(0, exported - self._exported), self._retries)
        self._retries, self._exported = 0, exported
        self._sum_up()
        batch.tally, self._tally = dict(self._tally), Counter()
        batch.kept.update(self._coverage.dump() | self._problems.dump())
        if self.items.examples.is_new:
            self.items.examples.is_new = False
            batch.kept[DUPLICATES] = msgpack.packb(self.items.examples.kept)

    def _sum_up(self) -> None:
        for (what, host, callback), pages in self._ended.items():
            self._tally[f"host/{what}", host] += pages
            self._tally[f"callback/{what}", callback] += pages
        for (host, callback), items in self._items.items():
            self._tally["host/items", host] += items
            self._tally["callback/items", callback] += items
        self._ended.clear()
        self._items.clear()


def duplicates_of(kept: dict[str, bytes]) -> list[tuple[str, list[str]]]:
    """Examples of duplicates: their key, and the fields that had changed."""
    return [(text, fields) for text, fields in msgpack.unpackb(kept[DUPLICATES])] if DUPLICATES in kept else []
