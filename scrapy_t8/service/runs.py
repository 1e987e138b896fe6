"""How far collectors are: one run of each task type, the newest."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from threading import RLock
from typing import Any

from scrapy_t8.errors import FormatError
from scrapy_t8.model.failed_task import FailedTask
from scrapy_t8.model.resume_point import (
    DIED,
    RUNNING,
    RUNS,
    STATUSES,
    STOPPED,
    CollectionState,
    ResumePoint,
)
from scrapy_t8.stores.locks import LeaseHolder
from scrapy_t8.stores.shared.store import SharedStore
from scrapy_t8.utils.checked import checked_number, checked_text
from scrapy_t8.utils.times import moment

from .write_batch import WriteBatch

PREFIX = RUNS


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run as it is stored. Times are Unix seconds. ``holder`` is the process that runs it."""

    run_id: str
    task_type: str
    status: str
    start_time: float
    last_update: float
    total_items: int = 0
    processed_items: int = 0
    failed_items: int = 0
    holder: str = ""

    def state(self) -> CollectionState:
        """As others know it, yet without resume points and tasks."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "holder"}
        times = {name: moment(values[name]) for name in ("start_time", "last_update")}
        return CollectionState(**{**values, **times})


class Runs:
    """Begins, moves and ends runs."""

    def __init__(
        self, store: SharedStore, updates: WriteBatch, holder: LeaseHolder, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._updates = updates
        self._holder = holder
        self._clock = clock
        self._known: dict[str, StoredRun] = {}
        """Those of this process."""
        self._lock = RLock()

    def start(self, task_type: str, total_items: int = 0) -> str:
        """Begin a run. Returns its id."""
        now = self._clock()
        last = self.get(checked_text("task_type", task_type))
        day = f"run_{moment(now):%Y%m%d}_"
        number = int(last.run_id.removeprefix(day)) + 1 if last and last.run_id.removeprefix(day).isdigit() else 1
        run = StoredRun(f"{day}{number:03}", task_type, RUNNING, now, now, holder=self._holder.name)
        self.put(replace(run, total_items=checked_number("total_items", total_items)))
        return run.run_id

    def update(self, task_type: str, **changes: Any) -> None:
        """Set numbers or the status of the run of a task type, which is begun if there is none.

        :raises FormatError: naming what is no field, or has a value that makes no sense.
        """
        for name, value in changes.items():
            if name == "status" and value not in STATUSES:
                raise FormatError(f"status: one of {', '.join(STATUSES)} is needed, not {value!r:.60}", name)
            if name != "status" and name not in ("total_items", "processed_items", "failed_items"):
                raise FormatError(f"{name}: a run has no such field that can be set", name)
            if name != "status":
                checked_number(name, value)
        with self._lock:
            if task_type not in self._known:
                self.start(task_type)
            self.put(replace(self._known[task_type], **changes, last_update=self._clock()))

    def put(self, run: StoredRun) -> None:
        """Store *run* as it is."""
        self._known[run.task_type] = run
        record = {field.name: getattr(run, field.name) for field in fields(run)}
        with self._updates.change() as changes:
            changes.kept[PREFIX + run.task_type] = json.dumps(record).encode()

    def get(self, task_type: str) -> StoredRun | None:
        return self.all().get(task_type)

    def all(self) -> dict[str, StoredRun]:
        """The newest run of each task type; one whose process has died says so."""
        self._updates.flush()
        runs = [StoredRun(**json.loads(data)) for data in self._store.kept(PREFIX).values()]
        return {run.task_type: self._judged(run) for run in runs}

    def _judged(self, run: StoredRun) -> StoredRun:
        if run.status == RUNNING and run.holder and not self._holder.is_alive(run.holder):
            return replace(run, status=DIED)
        return run

    def stop(self) -> None:
        """Say of what still runs in this process that it was stopped."""
        for run in list(self._known.values()):
            if run.status == RUNNING:
                self.put(replace(run, status=STOPPED, last_update=self._clock()))


def whole_state(
    task_type: str, run: StoredRun | None, points: list[ResumePoint], tasks: list[FailedTask]
) -> CollectionState:
    """How far *task_type* is. What no run tells is told by its points and tasks."""
    if run is not None:
        state = run.state()
    else:
        times = [point.last_update for point in points] + [task.created_at for task in tasks]
        state = CollectionState(f"run_{min(times):%Y%m%d}_000", task_type, "STOPPED", min(times), max(times))
    state.processed_items = state.processed_items or sum(point.total_processed for point in points)
    state.failed_items = state.failed_items or len(tasks)
    state.resume_points, state.failed_tasks = points, tasks
    return state
