"""Changes on their way into the store: each at once, or together inside of a batch.

Outside of a batch a call returns after its commit: what it has written survives a kill. Inside, up to
``T8_BATCH_UPDATE_SIZE`` changes go into one commit, and a kill loses the newest changes, which were not committed yet:
a resume point may then be older than what was done, never newer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import RLock

from scrapy_t8.stores.shared.tasks import SQLiteTasks, TaskBatch

EVERYTHING = 1 << 62
"""Size of a batch that is one commit, however much is changed in it."""


class Batch:
    """Changes that are written together when there are *size*. Changes can be added while it *is_open*."""

    def __init__(self, size: int = 1, *, is_open: bool = False) -> None:
        self.changes = TaskBatch()
        self.count = 0
        self.size = size
        self.is_open = is_open


class WriteBatch:
    """Writes changes: at once, or in batches of *size*."""

    def __init__(self, tasks: SQLiteTasks, size: int) -> None:
        self._tasks = tasks
        self._size = size
        self._lock = RLock()
        # Not of the thread: two coroutines may share one.
        self._batch: ContextVar[Batch | None] = ContextVar("t8_batch", default=None)

    @contextmanager
    def batch(self, size: int | None = None) -> Iterator[None]:
        """Commit the changes of the block in groups of ``batch_update_size``, and the rest at its end.

        A kill inside of the block loses the changes that were not committed yet: one group at the most.

        :param size: changes in one commit, in place of ``batch_update_size``.
        """
        if self._current() is not None:
            yield
            return
        batch = Batch(size or self._size, is_open=True)
        token = self._batch.set(batch)
        try:
            yield
        finally:
            self._batch.reset(token)
            with self._lock:
                batch.is_open = False
                self._write(batch)

    @contextmanager
    def change(self) -> Iterator[TaskBatch]:
        """Add one change to the batch, or write it at once."""
        with self._lock:
            batch = self._current() or Batch()
            yield batch.changes
            batch.count += 1
            if batch.count >= batch.size:
                self._write(batch)

    def flush(self) -> None:
        """Write the updates of the batch so far, because a reader needs them."""
        batch = self._current()
        if batch is not None:
            with self._lock:
                self._write(batch)

    def _current(self) -> Batch | None:
        batch = self._batch.get()
        # An asyncio task that was begun inside of a batch may outlive it.
        return batch if batch is not None and batch.is_open else None

    def _write(self, batch: Batch) -> None:
        if batch.count:
            self._tasks.commit(batch.changes)
            batch.changes, batch.count = TaskBatch(), 0
