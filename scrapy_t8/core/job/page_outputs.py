"""The staged outputs of pages on their way to the feeds: written when their page has ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from scrapy_t8.core.page import ITEMS, Page, record_fingerprint
from scrapy_t8.model.dead_letter import DeadLetter
from scrapy_t8.model.items import ItemOutcome

SLICE = 4 << 20
"""Bytes that are written before the event loop gets its turn again."""


class OutputSink(Protocol):
    """Where staged records go when their page settles: a feed file, or the spool."""

    name: str

    def write(self, records: list[bytes]) -> None:
        """Append *records*. They count with the next commit."""

    def flush(self) -> None:
        """What was written is with the kernel, or with ``power`` on the disk."""

    def record(self) -> dict[str, Any]:
        """What must be known of it to go on from this point."""


JUDGED = 200
"""To judge an item takes as long as to write so many bytes, roughly."""


class Judge(Protocol):
    """Who writes down what became of items."""

    def judge(self, notes: Sequence[ItemOutcome]) -> set[int]:
        """Write down *notes* of a page that settles. Returns the numbers of the items that are not to be exported."""

    def identity(self, note: ItemOutcome) -> bytes:
        """What an item is recognised by, should its page be had again."""


class PageOutputs:
    """The sinks of one run, and the ended pages whose records they have yet to get.

    :param judge: decides on the items of a page as it settles.
    """

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._sinks: dict[str, OutputSink] = {}
        self._written: set[str] = set()
        self._ended: deque[Page] = deque()
        self._draining: Iterator[tuple[str, list[bytes], int]] | None = None
        self._gathered: dict[str, list[bytes]] = {}
        self._weight = 0

    def __len__(self) -> int:
        """The pages that wait."""
        return len(self._ended)

    def add_sink(self, sink: OutputSink) -> None:
        self._sinks[sink.name] = sink
        self.touch(sink)

    def touch(self, sink: OutputSink) -> None:
        """The sink's record goes into the next commit."""
        self._written.add(sink.name)

    def add(self, page: Page) -> None:
        """*page* has ended."""
        self._ended.append(page)

    def drain(self, limit: int | None) -> Iterator[Page]:
        """Write the records of ended pages, and give each page that is through. Stops after *limit* bytes."""
        left = limit
        while self._draining is not None or self._ended:
            if self._draining is None:
                self._draining = self._records(self._ended[0])
            for name, records, weight in self._draining:
                left = self._gather(name, records, weight, left)
                if left is not None and left <= 0:
                    return self._write()
            self._draining = None
            yield self._ended.popleft()
        return self._write()

    def _records(self, page: Page) -> Iterator[tuple[str, list[bytes], int]]:
        """For each sink its records in turn, with their weight."""
        # Should the page be revived, what it has delivered is not to be written again.
        is_buried = isinstance(page.verdict, DeadLetter)
        unwanted: set[int] = set()
        for notes in page.noted():
            if is_buried:
                page.delivered += tuple(record_fingerprint(ITEMS, self._judge.identity(note)) for note in notes)
            unwanted |= self._judge.judge(notes)
            yield ITEMS, [], JUDGED * len(notes)
        for name, staged in page.staged.items():
            for numbered in staged.batches(SLICE // 8):
                if is_buried:
                    page.delivered += tuple(record_fingerprint(name, record) for _, record in numbered)
                records = [record for item, record in numbered if item not in unwanted]
                yield name, records, sum(map(len, records))

    def _gather(self, name: str, records: list[bytes], weight: int, left: int | None) -> int | None:
        # Small pages are written together: it saves system calls.
        if records:
            self._gathered.setdefault(name, []).extend(records)
        self._weight += weight
        if self._weight >= SLICE // 8:
            self._write()
        return None if left is None else left - weight

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
        """Everything written is safe. Returns what the commit is to say of each sink that has changed."""
        for name in self._written:
            self._sinks[name].flush()
        return {name: self._sinks[name].record() for name in self._written}

    def committed(self) -> None:
        """What :meth:`flush` has returned is durable."""
        self._written.clear()
