"""The state of the service: resume points, failed tasks, and how far collectors are."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import Any

from scrapy_t8.config.settings import Config
from scrapy_t8.errors import StoreError
from scrapy_t8.model.resume_point import CollectionState
from scrapy_t8.service.retries.failed_tasks import FailedTasks
from scrapy_t8.stores.locks import LeaseHolder
from scrapy_t8.utils.classes import forwarded
from scrapy_t8.utils.files import replacing
from scrapy_t8.utils.text import to_json

from .context import StateContext
from .import_export import Source, export_document, import_plan, read_plan
from .logs import logger
from .resume_points import StoredResumePoints
from .runs import Runs, collection_states
from .write_batch import WriteBatch


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
            context = StateContext(self.config, self._holder, clock=self._clock, chance=self._chance)
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
                    context.store.end(context.run, self._clock())
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
        """The parts of the open state. A StoreError is raised if it is closed."""
        state = self._state
        if state is None:
            raise StoreError(f"the state in {self.config.state_dir} is closed: open the service before it is used")
        return state

    def _opened(self) -> OpenState:
        while (state := self._state) is None:
            self.open()
        return state

    # -- what the parts do; each of these methods opens the state if it is closed --------------------------------------

    def _points(self) -> StoredResumePoints:
        return self._opened().points

    create_resume_point = forwarded(_points, StoredResumePoints.create_resume_point)
    get_resume_point = forwarded(_points, StoredResumePoints.get_resume_point)
    resume_points = forwarded(_points, StoredResumePoints.resume_points)
    resume_point_history = forwarded(_points, StoredResumePoints.resume_point_history)
    point_histories = forwarded(_points, StoredResumePoints.point_histories)
    delete_resume_point = forwarded(_points, StoredResumePoints.delete_resume_point)

    def _tasks(self) -> FailedTasks:
        return self._opened().tasks

    add_failed_task = forwarded(_tasks, FailedTasks.add_failed_task)
    get_failed_task = forwarded(_tasks, FailedTasks.get_failed_task)
    failed_tasks = forwarded(_tasks, FailedTasks.failed_tasks)
    dead_tasks = forwarded(_tasks, FailedTasks.dead_tasks)
    remove_failed_task = forwarded(_tasks, FailedTasks.remove_failed_task)
    revive = forwarded(_tasks, FailedTasks.revive)
    task_counts = forwarded(_tasks, FailedTasks.task_counts)
    retry_outcomes = forwarded(_tasks, FailedTasks.retry_outcomes)

    def _runs(self) -> Runs:
        return self._opened().runs

    start_run = forwarded(_runs, Runs.start_run)
    update_run = forwarded(_runs, Runs.update_run)
    finish_run = forwarded(_runs, Runs.finish_run)
    run_states = forwarded(_runs, Runs.run_states)

    def _writes(self) -> WriteBatch:
        return self._opened().context.writes

    batch = forwarded(_writes, WriteBatch.batch)

    # -- all of it -----------------------------------------------------------------------------------------------

    def states(self) -> Iterator[CollectionState]:
        """Yield the state of each task type that has points, tasks or runs."""
        state = self._opened()
        tasks = chain(state.tasks.failed_tasks(), state.tasks.dead_tasks())
        yield from collection_states(state.runs.all(), state.points.resume_points(), tasks)

    def get_state(self, task_type: str) -> CollectionState | None:
        """Return how far *task_type* is, or None if nothing is known of it."""
        return next((state for state in self.states() if state.task_type == task_type), None)

    def export_state(self, path: str | Path | None = None) -> dict[str, Any]:
        """Return all state as a JSON object, and write it to *path*. See docs/service.md for its form."""
        document = export_document(self.states(), self.resume_points())
        if path is not None:
            with replacing(Path(path)) as file:
                file.write(to_json(document, indent=1) + "\n")
        return document

    def import_state(self, source: Source) -> dict[str, int]:
        """Import JSON state: that of :meth:`export_state`, or single documents, a list of them, a file of either.

        What is there already stays: tasks of the same id, points that are newer. All is imported, or nothing.

        :returns: how many ``resume_points``, ``failed_tasks`` and ``states`` were imported.
        :raises FormatError: naming what is not as it must be, and where.
        """
        plan, state = read_plan(source), self._opened()
        return import_plan(plan, state.points, state.tasks, state.runs)

    def prune(self) -> int:
        """Delete old records of resume points and old dead tasks, by age and number. Return how many."""
        state = self._opened()
        return state.points.prune() + state.tasks.prune()

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
