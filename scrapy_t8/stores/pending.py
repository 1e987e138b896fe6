"""What is to be done still, by slot and by stored request: all of it, or an even part where that is too much."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..errors import StoreError
from ..model import queue_range
from . import questions as ask

BLOCK = 50
"""Neighbours that are read together where only a part is."""


class Share(NamedTuple):
    """A stored request that stands for so many."""

    weight: float
    slot: str
    payload: bytes


class Pending:
    """What is ready, waiting and leased in the database *db* of the state in *directory*."""

    def __init__(self, db: sqlite3.Connection, directory: Path) -> None:
        self._db = db
        self._directory = directory

    def ready_by_slot(self) -> dict[str, int]:
        """With what is leased."""
        return dict(self._db.execute(ask.READY_BY_SLOT))

    def waiting_by_slot(self) -> dict[str, int]:
        return dict(self._db.execute(ask.WAITING_BY_SLOT))

    def ready(self, most: int) -> Iterator[Share]:
        """Stored requests of all queues, about *most* of them or all if there are no more; with what is leased."""
        queues = self._db.execute(ask.QUEUES).fetchall()
        total = sum(stored for _, _, stored in queues)
        for number, slot, stored in queues:
            bounds = queue_range(number)
            part = _part(stored, total, most)
            yield from self._some((ask.ENTRY_ENDS, ask.ENTRIES_FROM), bounds, slot, stored, part)

    def waiting(self, most: int) -> Iterator[Share]:
        """The same of what waits."""
        slots = self.waiting_by_slot()
        total = sum(slots.values())
        for slot, stored in slots.items():
            yield from self._some((ask.DUE_ENDS, ask.DUE_FROM), (slot,), slot, stored, _part(stored, total, most))

    def _some(
        self, questions: tuple[str, str], bounds: tuple[object, ...], slot: str, stored: int, part: int
    ) -> Iterator[Share]:
        """*part* of the *stored* rows within *bounds*: in blocks, at even distances from the first to the last."""
        ends, rows_from = questions
        first, last = self._db.execute(ends, bounds).fetchone()
        if first is None:
            return
        blocks = 1 if part >= stored else max(1, part // BLOCK)
        limit = -1 if part >= stored else BLOCK
        found = []
        for number in range(blocks):
            begin = first + (last - first) * number / blocks if number else first
            found += self._db.execute(rows_from, (*bounds, begin, limit)).fetchall()
        for (payload,) in found:
            yield Share(stored / len(found), slot, payload)

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


def _part(stored: int, total: int, most: int) -> int:
    return stored if total <= most else max(BLOCK, most * stored // total)
