"""The staged outputs of pages on their way to the feeds: written when their page has ended."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import Any, Protocol

from scrapy_t8.core.items.ledger import ItemLedger
from scrapy_t8.core.page import ITEMS, Page
from scrapy_t8.model.entry import Outcome

SLICE = 4 << 20
"""Bytes that are written before the event loop gets its turn again."""
ITEM_COST = 200
"""Cost of settling the outcome of one item, in bytes written."""


class OutputSink(Protocol):
    """The target of staged records when their page settles: a feed file, or the spool."""

    name: str

    def write(self, records: list[bytes]) -> None:
        """Append *records*. They count with the next commit."""

    def flush(self) -> None:
        """Hand what was written to the kernel; with ``power`` to the disk."""

    def record(self) -> dict[str, Any]:
        """Return the record from which the sink can resume at this point."""


class PageOutputs:
    """The sinks of one run, and the ended pages whose records are still to be written.

    :param ledger: decides which items of a page are exported as the page settles.
    """

    def __init__(self, ledger: ItemLedger) -> None:
        self._ledger = ledger
        self._sinks: dict[str, OutputSink] = {}
        self._written: set[str] = set()
        self._ended: deque[Page] = deque()
        self._draining: Iterator[tuple[str, list[bytes], int]] | None = None
        self._gathered: dict[str, list[bytes]] = {}
        self._weight = 0

    def __len__(self) -> int:
        """Return how many ended pages wait."""
        return len(self._ended)

    def add_sink(self, sink: OutputSink) -> None:
        """Add *sink*. The sink's record goes into the next commit."""
        self._sinks[sink.name] = sink
        self.touch(sink)

    def touch(self, sink: OutputSink) -> None:
        """Put the sink's record into the next commit."""
        self._written.add(sink.name)

    def add(self, page: Page) -> None:
        """Add a page that has ended."""
        self._ended.append(page)

    def drain(self, limit: int | None) -> Iterator[Page]:
        """Write the records of ended pages, and yield each page that is through. Stop after *limit* bytes."""
        left = math.inf if limit is None else limit
        while self._draining is not None or self._ended:
            if self._draining is None:
                self._draining = self._records(self._ended[0])
            for name, records, weight in self._draining:
                # Small pages are written together: it saves system calls.
                if records:
                    self._gathered.setdefault(name, []).extend(records)
                self._weight += weight
                if self._weight >= SLICE // 8:
                    self._write()
                left -= weight
                if left <= 0:
                    return self._write()
            self._draining = None
            yield self._ended.popleft()
        return self._write()

    def _records(self, page: Page) -> Iterator[tuple[str, list[bytes], int]]:
        """Yield for each sink its records in turn, with their weight."""
        # If the page is replayed, records that it has delivered must not be written again.
        comes_again, items = page.outcome in (Outcome.DEAD, Outcome.RETRY), page.items
        unwanted: set[int] = set()
        for outcomes in items.all_outcomes():
            if comes_again:
                page.add_delivered(ITEMS, [self._ledger.identity(outcome) for outcome in outcomes])
            unwanted |= self._ledger.settle(outcomes)
            yield ITEMS, [], ITEM_COST * len(outcomes)
        for name, staged in items.staged.items():
            for numbered in staged.batches(SLICE // 8):
                if comes_again:
                    page.add_delivered(name, [record for _, record in numbered])
                records = [record for item, record in numbered if item not in unwanted]
                yield name, records, sum(map(len, records))

    def _write(self) -> None:
        gathered, self._gathered, self._weight = self._gathered, {}, 0
        for name, records in gathered.items():
            self._sinks[name].write(records)
            self._written.add(name)

    @property
    def is_cut(self) -> bool:
        """Whether a page is written in part only: then nothing may be committed."""
        return self._draining is not None

    def flush(self) -> dict[str, dict[str, Any]]:
        """Flush every sink that was written to. Return their records for the commit."""
        for name in self._written:
            self._sinks[name].flush()
        return {name: self._sinks[name].record() for name in self._written}

    def committed(self) -> None:
        """Record that what :meth:`flush` has returned is durable."""
        self._written.clear()
