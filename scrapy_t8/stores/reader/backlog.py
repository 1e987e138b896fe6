"""What is to be done still, by slot and by stored request: all of it, or an even part where that is too much."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from scrapy_t8.errors import StoreError
from scrapy_t8.model.entry import queue_range

from . import queries as ask

BLOCK = 50
"""Neighbours that are read together where only a part is."""


class SampledRequest(NamedTuple):
    """A stored request that stands for so many."""

    weight: float
    slot: str
    payload: bytes


class Backlog:
    """What is ready, waiting and leased in the database *db* of the state in *directory*."""

    def __init__(self, db: sqlite3.Connection, directory: Path) -> None:
        self._db = db
        self._directory = directory

    def ready_by_slot(self) -> dict[str, int]:
        """With what is leased."""
        return dict(self._db.execute(ask.READY_BY_SLOT))

    def waiting_by_slot(self) -> dict[str, int]:
        return dict(self._db.execute(ask.WAITING_BY_SLOT))

    def ready(self, most: int) -> Iterator[SampledRequest]:
        """Stored requests of all queues, about *most* of them or all if there are no more; with what is leased."""
        queues = self._db.execute(ask.QUEUES).fetchall()
        total = sum(stored for _, _, stored in queues)
        for number, slot, stored in queues:
            part = _part(stored, total, most)
            yield from _shares(slot, stored, self._in_queue(queue_range(number), part, whole=part >= stored))

    def _in_queue(self, bounds: tuple[int, int], part: int, *, whole: bool) -> list[bytes]:
        """Payloads of a queue: all, or about *part* of them, in blocks at even distances from the first to the last."""
        first, last = self._db.execute(ask.ENTRY_ENDS, bounds).fetchone()
        if first is None:
            return []
        blocks, size = (1, -1) if whole else (part // BLOCK, BLOCK)
        begins = (first + (last - first) * number // blocks for number in range(blocks))
        return [row[0] for at in begins for row in self._db.execute(ask.ENTRIES_FROM, (*bounds, at, size))]

    def waiting(self, most: int) -> Iterator[SampledRequest]:
        """The same of what waits."""
        slots = self.waiting_by_slot()
        total = sum(slots.values())
        for slot, stored in slots.items():
            every = stored // _part(stored, total, most)
            found = self._db.execute(ask.SOME_WAITING, (slot, every)).fetchall()
            found = found or self._db.execute(ask.SOME_WAITING, (slot, 1)).fetchmany(BLOCK)
            yield from _shares(slot, stored, [payload for (payload,) in found])

    def leased(self) -> list[tuple[str, bytes]]:
        """Slot and payload of what the last run of a crawl has noted as being under way."""
        path = self._directory / "marks"
        try:
            data = path.read_bytes() if path.exists() else b""
        except OSError as error:
            raise StoreError(f"cannot read the state in {self._directory}: {error}") from error
        numbers = array("q", data[: len(data) // 8 * 8])[1:]
        rows = (self._db.execute(ask.LEASED_ENTRY, (number,)).fetchone() for number in numbers)
        return [(slot, payload) for slot, payload in filter(None, rows)]

    def leased_tasks(self) -> dict[str, int]:
        """By task type, how many tasks of a service somebody is at work on."""
        return dict(self._db.execute(ask.LEASED_TASKS))


def _shares(slot: str, stored: int, payloads: list[bytes]) -> Iterator[SampledRequest]:
    return (SampledRequest(stored / len(payloads), slot, payload) for payload in payloads)


def _part(stored: int, total: int, most: int) -> int:
    """How many of *stored* are looked at, where there are *total* in all."""
    return stored if total <= most else min(stored, max(BLOCK, most * stored // total))
