"""Changes on their way into the store: each at once, or together inside of a batch.

Outside of a batch a call returns after its commit: what it has written survives a kill. Inside, up to
``T8_BATCH_UPDATE_SIZE`` changes go into one commit, and a kill loses the newest changes, which were not committed yet:
a resume point may then be older than what was done, never newer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import RLock

from scrapy_t8.model.attempts import ScheduledRetry
from scrapy_t8.model.batch import PointRecord
from scrapy_t8.model.dead_letter import DeadLetter
from scrapy_t8.stores.shared.tasks import SQLiteTasks

EVERYTHING = 1 << 62
"""Size of a batch that is one commit, however much is changed in it."""


@dataclass(slots=True)
class Changes:
    """What one commit is going to write."""

    points: dict[tuple[str, str], PointRecord] = field(default_factory=dict)
    history: list[PointRecord] = field(default_factory=list)
    tasks: list[ScheduledRetry] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    kept: dict[str, bytes] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    """Entries of tasks whose ids were made elsewhere."""
    count: int = 0
    size: int = 1
    """Number of changes at which they are written."""
    is_open: bool = False
    """Whether changes may be added later on."""

    def add_point(self, point: PointRecord) -> None:
        """Add a change of a resume point. Of several changes of a point, the last and the historic ones are written."""
        before = self.points.get((point.task_type, point.name))
        if before is not None and before.historic:
            self.history.append(before)
        self.points[point.task_type, point.name] = point


class WriteBatch:
    """Writes changes.

    :param size: changes in one commit of a batch, at the most.
    """

    def __init__(self, tasks: SQLiteTasks, size: int) -> None:
        self._tasks = tasks
        self._size = size
        self._lock = RLock()
        # Not of the thread: two coroutines may share one.
        self._batch: ContextVar[Changes | None] = ContextVar("t8_batch", default=None)

    @contextmanager
    def batch(self, size: int | None = None) -> Iterator[None]:
        """Commit what is changed inside in groups of ``batch_update_size``, and the rest at the end of the block.

        A kill inside of the block loses the changes that were not committed yet: one group at the most.

        :param size: changes in one commit, in place of ``batch_update_size``.
        """
        if self._current() is not None:
            yield
            return
        changes = Changes(is_open=True, size=size or self._size)
        token = self._batch.set(changes)
        try:
            yield
        finally:
            self._batch.reset(token)
            with self._lock:
                changes.is_open = False
                self._write(changes)

    @contextmanager
    def change(self) -> Iterator[Changes]:
        """Add one change to the batch, or write it at once."""
        with self._lock:
            changes = self._current() or Changes()
            yield changes
            changes.count += 1
            if changes.count >= changes.size:
                self._write(changes)

    def flush(self) -> None:
        """Write what the batch has so far, for whoever reads."""
        changes = self._current()
        if changes is not None:
            with self._lock:
                self._write(changes)

    def _current(self) -> Changes | None:
        changes = self._batch.get()
        # An asyncio task that was begun inside of a batch may outlive it.
        return changes if changes is not None and changes.is_open else None

    def _write(self, changes: Changes) -> None:
        if not changes.count:
            return
        points = [*changes.history, *changes.points.values()]
        self._tasks.commit(points, changes.tasks, changes.letters, changes.names, changes.kept)
        for part in (changes.points, changes.history, changes.tasks, changes.letters, changes.names, changes.kept):
            part.clear()
        changes.count = 0
