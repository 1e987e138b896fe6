"""The resume points of a job as people and other programs use them, while no crawl runs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from scrapy_t8.model.batch import PointRecord
from scrapy_t8.model.codec import Codec
from scrapy_t8.model.failed_task import FailedTask
from scrapy_t8.model.job import JobRecord, Run
from scrapy_t8.model.resume_point import DIED, FINISHED, STOPPED, CollectionState, ResumePoint
from scrapy_t8.stores.base import Store
from scrapy_t8.stores.sqlite.store import SQLiteStore
from scrapy_t8.utils.times import moment

from .dead_letters import DeadLetters

STATUS = {None: DIED, "finished": FINISHED}
"""What a run is said to be by the reason of its end; by any other, it was stopped."""


class ResumePoints:
    """What the resume points in *store* are, and how they are set."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def all(self) -> dict[tuple[str, str], ResumePoint]:
        """All of them, by task type and name.

        :raises FormatError: for one that somebody has made a mess of, naming the field.
        """
        return {(p.task_type, p.name): p.point() for p in self._store.points.all()}

    def get(self, task_type: str, name: str = "") -> ResumePoint | None:
        """One of them, or None."""
        return self.all().get((task_type, name))

    def history(self, task_type: str) -> list[ResumePoint]:
        """What those of one task type were before, the newest first."""
        return [record.point() for record in self._store.points.history(task_type)]

    def set(self, point: ResumePoint, name: str = "") -> None:
        """Where the next job is to begin: after the page, cursor or slug of *point*.

        A job that is not finished goes on from its frontier, wherever its points are.
        """
        self._store.points.put(record_of(point, name))

    def delete(self, task_type: str, name: str = "") -> bool:
        """Take one away: that piece of work begins at its beginning. Returns whether it was there."""
        return self._store.points.drop(task_type, name)

    def states(self) -> Iterator[CollectionState]:
        """How far each task type is that has resume points or failed tasks."""
        job, run = self._store.job(), self._store.last_run()
        if job is None or run is None:
            return
        yield from states_of(job, run, self.all(), DeadLetters(self._store, job, Codec()).tasks())


@contextmanager
def open_resume_points(jobdir: str | Path) -> Iterator[ResumePoints]:
    """The resume points of a job directory, which is made if it is missing.

    :raises T8Error: if a crawl is using it, or its state cannot be read.
    """
    store = SQLiteStore(Path(jobdir) / "t8")
    store.open()
    try:
        yield ResumePoints(store)
    finally:
        store.close()


def record_of(point: ResumePoint, name: str) -> PointRecord:
    """*point* as it is stored when somebody sets it by hand."""
    return PointRecord.of(point, name, updated=time.time(), historic=True)


def states_of(
    job: JobRecord, run: Run, points: dict[tuple[str, str], ResumePoint], tasks: Iterable[FailedTask]
) -> Iterator[CollectionState]:
    """How far each task type of a crawl is that has resume points or failed tasks."""
    by_type: dict[str, list[FailedTask]] = {kind: [] for kind, _ in points}
    for task in tasks:
        by_type.setdefault(task.task_type, []).append(task)
    for task_type in sorted(by_type):
        yield _state(job, run, task_type, points, by_type[task_type])


def _state(
    job: JobRecord, run: Run, task_type: str, points: dict[tuple[str, str], ResumePoint], tasks: list[FailedTask]
) -> CollectionState:
    mine = [point for (kind, _), point in points.items() if kind == task_type]
    began = moment(run.started)
    return CollectionState(
        run_id=f"run_{began:%Y%m%d}_{run.id:03}",
        task_type=task_type,
        status=STATUS.get(run.reason, STOPPED),
        start_time=moment(job.begun),
        last_update=moment(run.ended or run.last_commit or run.started),
        total_items=_total(mine),
        processed_items=sum(point.total_processed for point in mine),
        failed_items=len(tasks),
        resume_points=mine,
        failed_tasks=tasks,
    )


def _total(points: list[ResumePoint]) -> int:
    """How much there is, if every point tells it: a part would be taken for the whole."""
    totals = [point.metadata.get("total") for point in points]
    known = [total for total in totals if isinstance(total, int)]
    return sum(known) if len(known) == len(totals) else 0
