"""The outputs of a page that wait until it settles."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import IO

SPILL = 1 << 20
"""Bytes of one page's staged output that are held in memory before they go to a file."""


class Staged:
    """The records of one page for one sink, in order, each with the item that it is of; in memory while small."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._held: list[tuple[int, bytes]] = []
        self._weight = 0
        self._spilled: Spilled | None = None

    def add(self, data: bytes, item: int = 0) -> None:
        self._held.append((item, data))
        self._weight += len(data)
        if self._weight >= SPILL:
            self._spill()

    def batches(self, size: int) -> Iterator[list[tuple[int, bytes]]]:
        """All records in order, with the numbers of their items, in lists of about *size* bytes."""
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
    """Those of them that are in a file. It has no name: it goes with the process, and a replayed page stages anew."""

    def __init__(self, directory: Path) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=str(directory))  # noqa: SIM115
        self._lengths = array("Q")
        self._items = array("L")

    def add(self, records: list[tuple[int, bytes]]) -> None:
        self._file.writelines(data for _, data in records)
        self._lengths.extend(len(data) for _, data in records)
        self._items.extend(item for item, _ in records)

    def batches(self, size: int) -> Iterator[list[tuple[int, bytes]]]:
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
