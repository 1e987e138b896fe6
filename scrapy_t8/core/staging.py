"""The outputs of a page until the page settles."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import IO

from scrapy_t8.model.items import ItemOutcome, pack_notes, unpack_notes
from scrapy_t8.utils.hashes import hash63

OUTCOMES = 1000
"""Outcomes of one page's items that are held as objects."""
SPILL = 1 << 20
"""Bytes of one page's staged output that are held in memory before they go to a file."""
NO_DIGESTS: Mapping[int, bytes] = MappingProxyType({})


class PageItems:
    """The items of one page: their numbers, their outcomes, and the records staged for the sinks."""

    __slots__ = ("_earlier", "current", "digests", "entered", "left", "loss_cause", "outcomes", "passed", "staged")

    def __init__(self) -> None:
        self.entered = 0
        """Items that have entered the pipelines."""
        self.left = 0
        """Items that have left the pipelines."""
        self.passed = 0
        """Items that no pipeline has dropped or failed on."""
        self.current = 0
        """The number of the item whose records are being staged; 0 if there is none."""
        self.loss_cause = ""
        """The cause of the first item that a pipeline has dropped or failed on."""
        self.digests: Mapping[int, bytes] = NO_DIGESTS
        """The latest content of items that have a key, where the content matters."""
        self.staged: dict[str, Staged] = {}
        self.outcomes: Sequence[ItemOutcome] = ()
        """The outcomes of the items: the latest ones, if there are many."""
        self._earlier: Staged | None = None
        """The outcomes before them."""

    def leave(self) -> None:
        """Count an item that leaves the pipelines. What is staged from now on belongs to the item."""
        self.left += 1
        self.current = self.left

    def lose(self, cause: str) -> None:
        """Record why a pipeline has lost an item. The first cause stays."""
        self.loss_cause = self.loss_cause or cause

    def digest(self, key: int, digest: bytes) -> None:
        """Remember the content of the item with this key."""
        if not isinstance(self.digests, dict):
            self.digests = {}
        self.digests[key] = digest

    def stage(self, sink: str, data: bytes, directory: Path) -> None:
        """Keep one record for *sink*."""
        if sink not in self.staged:
            self.staged[sink] = Staged(directory)
        self.staged[sink].add(data, self.current)

    def add_outcome(self, outcome: ItemOutcome, directory: Path) -> None:
        """Keep the outcome of an item."""
        if not isinstance(self.outcomes, list):
            self.outcomes = []
        self.outcomes.append(outcome)
        if len(self.outcomes) >= OUTCOMES:
            self._earlier = self._earlier or Staged(directory)
            self._earlier.add(pack_notes(self.outcomes))
            self.outcomes = ()

    def all_outcomes(self) -> Iterator[Sequence[ItemOutcome]]:
        """Yield the outcomes of all items, in order, in lists."""
        if self._earlier is not None:
            for batch in self._earlier.batches(SPILL):
                yield from (unpack_notes(packed) for _, packed in batch)
        if self.outcomes:
            yield self.outcomes


NO_ITEMS = PageItems()
"""The items of a page that has none. To be read only."""


class Staged:
    """The records of one page for one sink, in order, each with the number of its item; in memory while small."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._held: list[tuple[int, bytes]] = []
        self._weight = 0
        self._spilled: Spilled | None = None

    def add(self, data: bytes, item: int = 0) -> None:
        """Add one record."""
        self._held.append((item, data))
        self._weight += len(data)
        if self._weight >= SPILL:
            self._spill()

    def batches(self, size: int) -> Iterator[list[tuple[int, bytes]]]:
        """Yield all records in order, with the numbers of their items, in lists of about *size* bytes."""
        if self._spilled is not None:
            yield from self._spilled.batches(size)
        if self._held:
            yield self._held

    def _spill(self) -> None:
        if self._spilled is None:
            self._spilled = Spilled(self._directory)
        self._spilled.add(self._held)
        self._held, self._weight = [], 0


class Spilled:
    """Staged records in a file. The file has no name: it goes with the process, and a replayed page stages anew."""

    def __init__(self, directory: Path) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=str(directory))  # noqa: SIM115
        self._lengths = array("Q")
        self._items = array("L")

    def add(self, records: list[tuple[int, bytes]]) -> None:
        """Append records."""
        self._file.writelines(data for _, data in records)
        self._lengths.extend(len(data) for _, data in records)
        self._items.extend(item for item, _ in records)

    def batches(self, size: int) -> Iterator[list[tuple[int, bytes]]]:
        """Yield all records in order, in lists of about *size* bytes. The file is closed then."""
        self._file.seek(0)
        batch: list[tuple[int, bytes]] = []
        weight = 0
        for item, length in zip(self._items, self._lengths, strict=True):
            batch.append((item, self._file.read(length)))
            weight += length
            if weight >= size:
                yield batch
                batch, weight = [], 0
        if batch:
            yield batch
        self._file.close()


def record_fingerprint(sink: str, record: bytes) -> int:
    """Return a fingerprint of 63 bits for one record of a sink."""
    return hash63(sink.encode() + b"\0" + record)
