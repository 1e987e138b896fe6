"""What the service knows: resume points, failed tasks, and how far collectors are."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import finalize

from scrapy_t8.config.settings import Config
from scrapy_t8.errors import JobMismatch, StoreDamaged, StoreError
from scrapy_t8.model.dead_letter import LetterFilter
from scrapy_t8.model.failed_task import FailedTask
from scrapy_t8.model.job import SERVICE, JobRecord
from scrapy_t8.model.resume_point import CollectionState, ResumePoint
from scrapy_t8.stores.base import IfDamaged
from scrapy_t8.stores.locks import LeaseHolder
from scrapy_t8.stores.shared.store import SharedStore
from scrapy_t8.stores.shared.tasks import SQLiteTasks
from scrapy_t8.stores.sqlite.store import SQLiteStore
from scrapy_t8.utils.times import moment

from .failed_tasks import FailedTasks
from .logs import logger
from .resume_points import StoredResumePoints
from .runs import Runs, whole_state
from .write_batch import WriteBatch

OWNER = SERVICE
"""In the place of a spider's name."""


class StateManager:
    """Keeps resume points, failed tasks and run states in ``T8_STATE_DIR``; for all threads of several processes.

    What a call has changed is committed when it returns, and survives a kill; inside of :meth:`batch` it is committed
    in groups. It is opened by its first use, or by :meth:`open`.

    :param clock: the time, in Unix seconds.
    :param chance: draws evenly from 0 to 1.
    """

    is_for_all_threads = True
    """Whoever has it may read it in another thread."""

    def __init__(
        self, config: Config, *, clock: Callable[[], float] = time.time, chance: Callable[[], float] = random.random
    ) -> None:
        self.config = config
        self._clock = clock
        self._chance = chance
        self._opening = Lock()
        self._is_open = False
        self._busy = 0
        self._holder: LeaseHolder | None = None
        self._new_task: Callable[[str, float], None] = lambda task_type, due: None

    def open(self) -> None:
        """Make the state usable. It is made if there is none.

        :raises T8Error: if a crawl owns it, if it is damaged or of another version, if it cannot be written.
        """
        with self._opening:
            if self._is_open:
                return
            directory = Path(self.config.state_dir).absolute() / "t8"
            is_lost = (directory / "lock").exists() and not (directory / "state.db").exists()
            self._store = SharedStore(directory, power=self.config.durability == "power")
            self._open_or_mend(directory)
            try:
                self._begin(directory)
            except BaseException:
                self._store.close()
                raise
            self._is_open = True
        logger.debug("The state in %s is open", directory)
        if is_lost:
            logger.warning("The state file that was in %s is gone: a new one begins, and knows nothing", directory)
        self.prune()

    def _open_or_mend(self, directory: Path) -> None:
        try:
            self._store.open()
        except StoreDamaged:
            ways: dict[str, IfDamaged] = {"continue": "salvage", "fresh": "replace"}
            if self.config.resume not in ways:
                raise
            # That needs the state for itself.
            mended = SQLiteStore(directory)
            mended.open(if_damaged=ways[self.config.resume])
            mended.close()
            self._store.open()

    def _begin(self, directory: Path) -> None:
        now = self._clock()
        self._tasks = SQLiteTasks(self._store)
        new = JobRecord(f"service_{moment(now):%Y%m%d_%H%M%S}_{secrets.token_hex(2)}", OWNER, {}, now)
        there = self._store.job()
        if there is not None and there.spider != OWNER:
            raise JobMismatch(
                f"the state in {self.config.state_dir} is that of the crawl {there.spider!r}: use another T8_STATE_DIR"
            )
        job, self._run = self._tasks.begin(new, now)
        # A handler of an earlier time that has not ended still has its lease.
        if self._holder is None or not self._holder.is_held:
            self._holder = LeaseHolder(directory / "holders")
        self._updates = WriteBatch(self._tasks, self.config.batch_update_size)
        self._points = StoredResumePoints(self._store, self._updates, self.config, self._clock)
        self._runs = Runs(self._store, self._updates, self._holder, self._clock)
        self._book = FailedTasks(
            *(self._store, self._tasks, self._updates, self.config, job, self._holder, self._clock, self._chance)
        )
        self._book.added = self._added
        # At the end of the interpreter at the latest, with the locks that closing needs.
        self._closer = finalize(self, self._store.close)

    def close(self) -> None:
        """Give the state up. Runs that have not ended are stopped ones from now on."""
        with self._opening:
            if not self._is_open:
                return
            try:
                if self._store.is_mine:
                    self._runs.stop()
                    self._tasks.end(self._run, self._clock())
            except StoreError as error:
                logger.error("%s", error)
            self._is_open = False
            self._closer()
            self._retire()

    @property
    def is_open(self) -> bool:
        return self._is_open

    # -- resume points -------------------------------------------------------------------------------------------

    def create_resume_point(
        self,
        task_type: str,
        current_page: int = 0,
        total_processed: int = 0,
        last_cursor: str | None = None,
        last_slug: str | None = None,
        metadata: dict[str, Any] | None = None,
        *,
        name: str = "",
    ) -> str:
        """Say that everything up to here is done. It takes the place of the last such point of *task_type* and *name*.

        :param name: tells several pieces of work of one task type apart.
        :returns: the task type, ``_``, the Unix second.
        :raises FormatError: naming what is not as it must be.
        """
        values = (task_type, current_page, total_processed, last_cursor, last_slug, metadata, name)
        return self._opened().points.create(*values)

    def get_resume_point(self, task_type: str, name: str | None = None) -> ResumePoint | None:
        """The newest point of *task_type*, or the one of that *name*; None if there is none."""
        return self._opened().points.newest(task_type, name)

    def resume_points(self) -> dict[tuple[str, str], ResumePoint]:
        """All points as they stand, by task type and name."""
        return self._opened().points.all()

    def resume_point_history(self, task_type: str) -> list[ResumePoint]:
        """What the points of *task_type* were, one for each ``update_interval`` seconds, the newest first."""
        return self._opened().points.history(task_type)

    def point_histories(self) -> dict[str, dict[str, list[ResumePoint]]]:
        """The same of all points and with the points as they stand, by task type and name."""
        return self._opened().points.histories()

    def delete_resume_point(self, task_type: str, name: str = "") -> bool:
        """Begin at the beginning the next time. Returns whether there was such a point."""
        return self._opened().points.delete(task_type, name)

    # -- failed tasks --------------------------------------------------------------------------------------------

    def add_failed_task(
        self,
        task_type: str,
        target: str,
        error_message: str = "",
        metadata: dict[str, Any] | None = None,
        *,
        max_retries: int | None = None,
    ) -> str:
        """Have *target* tried again later.

        :param max_retries: None leaves it to the policy (``T8_RETRY_KINDS["handler"]``).
        :returns: the id of the task.
        :raises FormatError: naming what is not as it must be.
        """
        return self._opened().tasks.add(task_type, target, error_message, metadata, max_retries)

    def get_failed_task(self, task_id: str) -> FailedTask | None:
        """The task of this id, whether it waits or is given up (then without a next time); None if there is none."""
        return self._opened().tasks.get(task_id)

    def failed_tasks(self, task_type: str | None = None) -> Iterator[FailedTask]:
        """The tasks that wait for their next try."""
        return self._opened().tasks.waiting(task_type)

    def dead_tasks(self, task_type: str | None = None) -> Iterator[FailedTask]:
        """The tasks that are given up."""
        return self._opened().tasks.dead(task_type)

    def remove_failed_task(self, task_id: str) -> bool:
        """Take a task away. Returns whether it was there, and nobody was at work on it."""
        return self._opened().tasks.remove(task_id)

    def revive(self, which: LetterFilter | None = None) -> int:
        """Let dead tasks be tried again from the beginning; all, without *which*. Returns how many."""
        return self._opened().tasks.revive(which or LetterFilter())

    def task_counts(self) -> tuple[int, int]:
        """How many tasks wait, and how many are dead."""
        return self._opened().tasks.counts()

    def retry_outcomes(self) -> tuple[int, int]:
        """How many tasks have succeeded by a retry, and how many were given up, ever since."""
        self._opened()
        return self._tasks.outcomes()

    # -- run states ----------------------------------------------------------------------------------------------

    def start_run(self, task_type: str, total_items: int = 0) -> str:
        """A collector begins. Returns the id of its run.

        :param total_items: what is known to be there; 0 if nobody knows.
        """
        return self._opened().runs.start(task_type, total_items)

    def update_run(self, task_type: str, **changes: Any) -> None:
        """Set ``total_items``, ``processed_items``, ``failed_items`` or ``status`` of the run of *task_type*.

        :raises FormatError: naming what is no such field, or has a value that makes no sense.
        """
        self._opened().runs.update(task_type, **changes)

    def finish_run(self, task_type: str, status: str = "FINISHED") -> None:
        """A collector has ended."""
        self.update_run(task_type, status=status)

    def states(self) -> Iterator[CollectionState]:
        """How far each task type is of which anything is known."""
        parts = self._opened()
        points, runs = parts.points.all(), parts.runs.all()
        for task_type in sorted({kind for kind, _ in points} | parts.tasks.types() | set(runs)):
            mine = [point for (kind, _), point in points.items() if kind == task_type]
            tasks = [*parts.tasks.waiting(task_type), *parts.tasks.dead(task_type)]
            yield whole_state(task_type, runs.get(task_type), mine, tasks)

    def run_states(self) -> list[CollectionState]:
        """The newest run of each task type, without resume points and tasks."""
        return [run.state() for run in self._opened().runs.all().values()]

    def get_state(self, task_type: str) -> CollectionState | None:
        """How far *task_type* is, or None if nothing is known of it."""
        return next((state for state in self.states() if state.task_type == task_type), None)

    # -- together ------------------------------------------------------------------------------------------------

    def batch(self) -> AbstractContextManager[None]:
        """Commit what is changed inside in groups of ``batch_update_size``, and the rest at the end of the block.

        A kill inside of the block loses the changes that were not committed yet: at the most those of one group.
        """
        self._opened()
        return self._updates.batch()

    def export_state(self, path: str | Path | None = None) -> dict[str, Any]:
        """All state as a JSON object, also written to *path*. See docs/service.md for its form."""
        from .import_export import export_state

        return export_state(self, path)

    def import_state(self, source: str | Path | Mapping[str, Any] | list[Any]) -> dict[str, int]:
        """Take in JSON state: of :meth:`export_state`, or single documents, a list of them, a file of either.

        What is there already stays: tasks of the same id, points that are newer. All is taken in, or nothing.

        :returns: how many ``resume_points``, ``failed_tasks`` and ``states`` were taken in.
        :raises FormatError: naming what is not as it must be, and where.
        """
        from .import_export import import_state

        return import_state(self, source)

    def prune(self) -> int:
        """Drop what is too old or too much of what nobody needs any more. Returns how many records went."""
        parts = self._opened()
        return parts.points.prune() + parts.tasks.prune()

    # -- for the retry service -----------------------------------------------------------------------------------

    @property
    def points(self) -> StoredResumePoints:
        return self._points

    @property
    def tasks(self) -> FailedTasks:
        return self._book

    @property
    def runs(self) -> Runs:
        return self._runs

    @property
    def updates(self) -> WriteBatch:
        return self._updates

    def on_new_task(self, tell: Callable[[str, float], None]) -> None:
        """Have *tell* called with the type and the due time of each new task."""
        self._new_task = tell

    def begin_work(self) -> None:
        """A handler begins: leases of this process hold until it has ended, even if the state is closed before."""
        with self._opening:
            self._busy += 1

    def end_work(self) -> None:
        with self._opening:
            self._busy -= 1
            self._retire()

    def _retire(self) -> None:
        if not self._busy and not self._is_open and self._holder is not None:
            self._holder.retire()

    def _added(self, task_type: str, due: float) -> None:
        self._new_task(task_type, due)

    def _opened(self) -> StateManager:
        if not self._is_open:
            self.open()
        return self
