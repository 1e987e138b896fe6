"""Entries between two attempts. The store has the entries; only their number is in memory."""

from __future__ import annotations

from scrapy_t8.model.attempts import ScheduledRetry
from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.stores.base import Store


class WaitingEntries:
    """The waiting entries of a job."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._count = store.count_waiting()
        self._added: list[ScheduledRetry] = []
        self._removed: list[int] = []

    def __len__(self) -> int:
        return self._count

    def add(self, retry: ScheduledRetry) -> None:
        """Let an entry wait."""
        self._added.append(retry)
        self._count += 1

    def remove(self, entry: int) -> None:
        """End the wait of an entry."""
        self._removed.append(entry)
        self._count -= 1

    def recount(self) -> None:
        """Count again: another process has changed the store."""
        self._count = self._store.count_waiting()

    def drain(self, batch: CommitBatch) -> None:
        """Put what has changed into *batch*."""
        batch.waiting, self._added = self._added, []
        batch.reactivated, self._removed = self._removed, []
