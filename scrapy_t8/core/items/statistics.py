"""The statistics of one run about pages and items: counted as pages settle, and part of every commit."""

from __future__ import annotations

from collections import Counter

from scrapy_t8.core.page import Page
from scrapy_t8.core.run import CommitParticipant
from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.model.entry import Outcome
from scrapy_t8.model.job import JobRecord

from .expectations import Expectations
from .ledger import ItemLedger

OUTCOMES = "outcomes"
"""Tally of the outcomes of requests that had failed."""
ENDS = {Outcome.DEAD: "dead", Outcome.DISCARDED: "discarded", Outcome.DONE: "done"}


class RunStatistics(CommitParticipant):
    """Counts the outcomes of pages, by host and callback, and settles the items of each page.

    :param record: the job, whose ledger counts the items.
    """

    def __init__(self, record: JobRecord, items: ItemLedger, expectations: Expectations) -> None:
        self._record = record
        self._ledger = items
        self._expectations = expectations
        self._tally: Counter[tuple[str, str]] = Counter()
        self._ended: Counter[tuple[str, str, str]] = Counter()
        self._items: Counter[tuple[str, str]] = Counter()
        self._retries = 0
        self._exported = record.ledger.exported

    def settle(self, page: Page) -> None:
        """Count the outcome of *page*."""
        items = page.items
        self._record.ledger.scraped += items.entered
        if page.expectations:
            self._expectations.settle(page, self._ledger.has)
        attempts = page.history.attempts if page.history is not None else ()
        if page.retry is not None:
            self._retries += 1
            self._tally["host/retries", page.retry.slot] += 1
            if attempts:
                self._tally["retries", attempts[-1][1]] += 1
        elif page.callback and page.outcome is not Outcome.REPLACED:
            self._ended[ENDS[page.outcome], page.host, page.callback] += 1
        if attempts and page.outcome is Outcome.DEAD:
            self._tally[OUTCOMES, "buried"] += 1
            self._tally[OUTCOMES, "not_retried"] += len(attempts) == 1
        elif attempts and page.outcome is Outcome.DONE:
            self._tally[OUTCOMES, "succeeded"] += 1
        if items.passed and page.callback:
            self._items[page.host, page.callback] += items.passed

    def fill(self, batch: CommitBatch) -> None:
        """Put what has changed into *batch*."""
        self._ledger.drain(batch)
        self._expectations.drain(batch)
        exported = self._record.ledger.exported
        batch.progress = (self._ended.total(), max(0, exported - self._exported), self._retries)
        self._retries, self._exported = 0, exported
        self._sum_up()
        batch.tally.update(self._tally)
        self._tally.clear()

    def _sum_up(self) -> None:
        for (what, host, callback), pages in self._ended.items():
            self._tally[f"host/{what}", host] += pages
            self._tally[f"callback/{what}", callback] += pages
        for (host, callback), items in self._items.items():
            self._tally["host/items", host] += items
            self._tally["callback/items", callback] += items
        self._ended.clear()
        self._items.clear()
