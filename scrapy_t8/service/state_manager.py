"""The state of the service: resume points, failed tasks, and how far collectors are."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import Any

from scrapy_t8.config.settings import Config
from scrapy_t8.errors import StoreError
from scrapy_t8.model.dead_letter import LetterFilter
from scrapy_t8.model.failed_task import FailedTask
from scrapy_t8.model.resume_point import FINISHED, CollectionState, ResumePoint
from scrapy_t8.stores.locks import LeaseHolder

from .context import StateContext, open_context
from .failed_tasks import FailedTasks
from .import_export import Source, export_document, import_plan, read_plan, write_json
from .logs import logger
from .resume_points import StoredResumePoints
from .runs import Runs, collection_states


@dataclass(frozen=True, slots=True)
class OpenState:
    """The parts of a state that is open."""

    context: StateContext
    points: StoredResumePoints
    tasks: FailedTasks
    runs: Runs


class StateManager:
    """Keeps resume points, failed tasks and run states in ``T8_STATE_DIR``; for all threads of several processes.

    What a call has changed is committed when it returns, and survives a kill; inside of :meth:`batch` it is committed
    in groups. The state is opened by its first use, or by :meth:`open`.

    :param clock: the time, in Unix seconds.
    :param chance: draws evenly from 0 to 1.
    """

    is_for_all_threads = True
    """Whether any thread may read it, not only the one that has made it."""

    def __init__(
        self, config: Config, *, clock: Callable[[], float] = time.time, chance: Callable[[], float] = random.random
    ) -> None:
        self.config = config
        self._clock = clock
        self._chance = chance
        self._lock = Lock()
        self._state: OpenState | None = None
        self._holder: LeaseHolder | None = None
        self._busy_handlers = 0
        self._new_task: Callable[[str, float], None] = lambda task_type, due: None

    def open(self) -> None:
        """Make the state usable. It is made if there is none.

        :raises T8Error: if a crawl owns it, if it is damaged or of another version, if it cannot be written.
        """
        with self._lock:
            if self._state is not None:
                return
            context = open_context(self.config, self._holder, clock=self._clock, chance=self._chance)
            self._holder = context.holder
            tasks = FailedTasks(context, lambda task_type, due: self._new_task(task_type, due))
            self._state = OpenState(context, StoredResumePoints(context), tasks, Runs(context))
        self.prune()

    def close(self) -> None:
        """Give the state up. Runs that have not ended are stopped ones from now on."""
        with self._lock:
            if self._state is None:
                return
            context = self._state.context
            try:
                if context.store.is_mine:
                    self._state.runs.stop()
                    context.stored_tasks.end(context.run, self._clock())
            except StoreError as error:
                logger.error("%s", error)
            context.store.close()
            self._state = None
            self._retire()

    @property
    def is_open(self) -> bool:
        return self._state is not None

    @property
    def parts(self) -> OpenState:
        """The parts of the open state.

        :raises StoreError: if it is closed.
        """
        state = self._state
        if state is None:
            raise StoreError(f"the state in {self.config.state_dir} is closed: open the service before it is used")
        return state

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
        """Store that everything up to here is done. The point replaces the last one of *task_type* and *name*.

        :param name: tells several pieces of work of one task type apart.
        :returns: the task type, ``_``, the Unix second.
        :raises FormatError: naming what is not as it must be.
        """
        point = ResumePoint(task_type, current_page, last_cursor, last_slug, total_processed)
        point.metadata = {} if metadata is None else metadata
        return self._opened().points.create(point, name)

    def get_resume_point(self, task_type: str, name: str | None = None) -> ResumePoint | None:
        """Return the newest point of *task_type*, or the one of that *name*; None if there is none."""
        return self._opened().points.newest(task_type, name)

    def resume_points(self) -> dict[tuple[str, str], ResumePoint]:
        """Return all points, by task type and name."""
        return self._opened().points.all()

    def resume_point_history(self, task_type: str) -> list[ResumePoint]:
        """Return the earlier points of *task_type*, one for each ``update_interval`` seconds, the newest first."""
        return self._opened().points.history(task_type)

    def point_histories(self) -> dict[str, dict[str, list[ResumePoint]]]:
        """Return all points, each with its earlier ones, the newest first; by task type and name."""
        return self._opened().points.histories()

    def delete_resume_point(self, task_type: str, name: str = "") -> bool:
        """Delete a point: that work begins at its beginning the next time. Return whether there was such a point."""
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
        """Return the task of this id, whether it waits or is dead (then without a next time); None if there is none."""
        return self._opened().tasks.get(task_id)

    def failed_tasks(self, task_type: str | None = None) -> Iterator[FailedTask]:
        """Return the tasks that wait for their next try."""
        return self._opened().tasks.waiting(task_type)

    def dead_tasks(self, task_type: str | None = None) -> Iterator[FailedTask]:
        """Return the tasks that were given up."""
        return self._opened().tasks.dead(task_type)

    def remove_failed_task(self, task_id: str) -> bool:
        """Delete a task. Return whether it was there, and no handler was at work on it."""
        return self._opened().tasks.remove(task_id)

    def revive(self, which: LetterFilter | None = None) -> int:
        """Let dead tasks be tried again from the beginning; all, without *which*. Return how many."""
        return self._opened().tasks.revive(which or LetterFilter())

    def task_counts(self) -> tuple[int, int]:
        """Return how many tasks wait, and how many are dead."""
        return self._opened().tasks.counts()

    def retry_outcomes(self) -> tuple[int, int]:
        """Return how many tasks have succeeded by a retry, and how many were given up, since the state began."""
        return self._opened().context.stored_tasks.outcomes()

    # -- run states ----------------------------------------------------------------------------------------------

    def start_run(self, task_type: str, total_items: int = 0) -> str:
        """Begin a run of a collector. Return its id.

        :param total_items: how many items there are; 0 if that is not known.
        """
        return self._opened().runs.start(task_type, total_items)

    def update_run(self, task_type: str, **changes: Any) -> None:
        """Set ``total_items``, ``processed_items``, ``failed_items`` or ``status`` of the run of *task_type*.

        :raises FormatError: naming what is no such field, or has a value that makes no sense.
        """
        self._opened().runs.update(task_type, **changes)

    def finish_run(self, task_type: str, status: str = FINISHED) -> None:
        """End the run of *task_type*."""
        self.update_run(task_type, status=status)

    def states(self) -> Iterator[CollectionState]:
        """Yield how far each task type is of which anything is known."""
        state = self._opened()
        tasks = chain(state.tasks.waiting(), state.tasks.dead())
        yield from collection_states(state.runs.all(), state.points.all(), tasks)

    def run_states(self) -> list[CollectionState]:
        """Return the newest run of each task type, without resume points and tasks."""
        return [run.state() for run in self._opened().runs.all().values()]

    def get_state(self, task_type: str) -> CollectionState | None:
        """Return how far *task_type* is, or None if nothing is known of it."""
        return next((state for state in self.states() if state.task_type == task_type), None)

    # -- all of it -----------------------------------------------------------------------------------------------

    def batch(self) -> AbstractContextManager[None]:
        """Commit what is changed inside in groups of ``batch_update_size``, and the rest at the end of the block.

        A kill inside of the block loses the changes that were not committed yet: one group at the most.
        """
        return self._opened().context.writes.batch()

    def export_state(self, path: str | Path | None = None) -> dict[str, Any]:
        """Return all state as a JSON object, and write it to *path*. See docs/service.md for its form."""
        document = export_document(self.states(), self.resume_points())
        if path is not None:
            write_json(Path(path), document)
        return document

    def import_state(self, source: Source) -> dict[str, int]:
        """Import JSON state: that of :meth:`export_state`, or single documents, a list of them, a file of either.

        What is there already stays: tasks of the same id, points that are newer. All is imported, or nothing.

        :returns: how many ``resume_points``, ``failed_tasks`` and ``states`` were imported.
        :raises FormatError: naming what is not as it must be, and where.
        """
        plan = read_plan(source)
        state = self._opened()
        writes = state.context.writes
        return import_plan(plan, points=state.points, tasks=state.tasks, runs=state.runs, writes=writes)

    def prune(self) -> int:
        """Delete old records of resume points and old dead tasks, by age and number. Return how many."""
        state = self._opened()
        return state.points.prune() + state.tasks.prune()

    def _opened(self) -> OpenState:
        while (state := self._state) is None:
            self.open()
        return state

    # -- for the retry service -----------------------------------------------------------------------------------

    def on_new_task(self, notify: Callable[[str, float], None]) -> None:
        """Have *notify* called with the task type and the due time of each new task."""
        self._new_task = notify

    def handler_started(self) -> None:
        """Keep the leases of this process until :meth:`handler_ended`, even if the state is closed before."""
        with self._lock:
            self._busy_handlers += 1

    def handler_ended(self) -> None:
        with self._lock:
            self._busy_handlers -= 1
            self._retire()

    def _retire(self) -> None:
        if not self._busy_handlers and self._state is None and self._holder is not None:
            self._holder.retire()
