"""How far collectors are: the newest run of each task type."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from threading import RLock
from typing import Any

from scrapy_t8.errors import FormatError, StoreError
from scrapy_t8.model.failed_task import FailedTask
from scrapy_t8.model.resume_point import (
    DIED,
    FINISHED,
    RUNNING,
    RUNS,
    STATUSES,
    STOPPED,
    CollectionState,
    ResumePoint,
    by_task_type,
    collection_state,
)
from scrapy_t8.utils.checked import checked_number, checked_text
from scrapy_t8.utils.times import moment

from .context import StateContext

NUMBERS = ("total_items", "processed_items", "failed_items")


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run as it is stored. Times are Unix seconds; ``holder`` is the lease holder of the process that runs it."""

    run_id: str
    task_type: str
    status: str
    start_time: float
    last_update: float
    total_items: int = 0
    processed_items: int = 0
    failed_items: int = 0
    holder: str = ""

    def dumps(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def loads(cls, data: bytes) -> StoredRun:
        """Return the run in *data*, or raise a StoreError."""
        try:
            return cls(**json.loads(data))
        except (TypeError, ValueError) as error:
            raise StoreError(
                f"the state has a run that cannot be read, {data!r:.60}: {error}. Another program or release has "
                "written it: use that release, or put the state back from a copy"
            ) from None

    @classmethod
    def of(cls, state: CollectionState) -> StoredRun:
        """Return the run of an imported *state*: it does not run here, whatever it did elsewhere."""
        values = {field.name: getattr(state, field.name) for field in fields(cls) if field.name != "holder"}
        times = {name: values[name].timestamp() for name in ("start_time", "last_update")}
        return cls(**{**values, **times, "status": STOPPED if state.status == RUNNING else state.status})

    def state(self) -> CollectionState:
        """Return the run as a CollectionState without resume points and tasks."""
        values = asdict(self)
        del values["holder"]
        times = {name: moment(values[name]) for name in ("start_time", "last_update")}
        return CollectionState(**{**values, **times})


class Runs:
    """Begins, updates and ends runs."""

    def __init__(self, context: StateContext) -> None:
        self._store = context.store
        self.writes = context.writes
        self._holder = context.holder
        self._clock = context.clock
        self._own: dict[str, StoredRun] = {}
        """The runs of this process, by task type."""
        self._lock = RLock()

    def start_run(self, task_type: str, total_items: int = 0) -> str:
        """Begin a run of a collector. Return its id.

        :param total_items: how many items there are; 0 if that is not known.
        """
        now = self._clock()
        last = self.all().get(checked_text("task_type", task_type))
        day = f"run_{moment(now):%Y%m%d}_"
        number = last.run_id.removeprefix(day) if last is not None else ""
        run_id = f"{day}{int(number) + 1 if number.isdigit() else 1:03}"
        total = checked_number("total_items", total_items)
        self.put(StoredRun(run_id, task_type, RUNNING, now, now, total, holder=self._holder.name))
        return run_id

    def update_run(self, /, task_type: str, **changes: Any) -> None:
        """Set ``total_items``, ``processed_items``, ``failed_items`` or ``status`` of the run of *task_type*.

        A run is begun if there is none.

        :raises FormatError: naming the change that is not a field, or has a value that makes no sense.
        """
        for name, value in changes.items():
            if name in NUMBERS:
                checked_number(name, value)
            elif name != "status":
                raise FormatError(f"{name}: a run has no field of this name that can be set", name)
            else:
                checked_status(value)
        with self._lock:
            if task_type not in self._own:
                self.start_run(task_type)
            self.put(replace(self._own[task_type], **changes, last_update=self._clock()))

    def finish_run(self, task_type: str, status: str = FINISHED) -> None:
        """End the run of *task_type*."""
        self.update_run(task_type, status=status)

    def run_states(self) -> list[CollectionState]:
        """Return the newest run of each task type, without resume points and tasks."""
        return [run.state() for run in self.all().values()]

    def put(self, run: StoredRun) -> None:
        """Store *run* as it is."""
        self._own[run.task_type] = run
        with self.writes.change() as changes:
            changes.kept[RUNS + run.task_type] = run.dumps()

    def all(self) -> dict[str, StoredRun]:
        """Return the newest run of each task type. One whose process has died is DIED."""
        self.writes.flush()
        runs = map(StoredRun.loads, self._store.kept(RUNS).values())
        return {run.task_type: replace(run, status=DIED) if self._has_died(run) else run for run in runs}

    def _has_died(self, run: StoredRun) -> bool:
        return run.status == RUNNING and bool(run.holder) and not self._holder.is_alive(run.holder)

    def stop(self) -> None:
        """Mark the runs of this process that have not ended as stopped."""
        for run in list(self._own.values()):
            if run.status == RUNNING:
                self.put(replace(run, status=STOPPED, last_update=self._clock()))


def collection_states(
    runs: Mapping[str, StoredRun], points: Mapping[tuple[str, str], ResumePoint], tasks: Iterable[FailedTask]
) -> Iterator[CollectionState]:
    """Yield how far each task type is that has a run, a resume point or a failed task, sorted by task type."""
    groups = by_task_type(points, tasks)
    for task_type in sorted({*groups, *runs}):
        run = runs[task_type].state() if task_type in runs else None
        yield collection_state(run, *groups.get(task_type, ([], [])))


def checked_status(status: object) -> str:
    """Return *status* if a run can have it, else raise a FormatError."""
    if status not in STATUSES:
        raise FormatError(f"status: one of {', '.join(STATUSES)} is needed, not {status!r:.60}", "status")
    return str(status)
