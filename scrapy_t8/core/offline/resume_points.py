"""The resume points of a job, to be read and set while no crawl runs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from scrapy_t8.model.batch import PointRecord
from scrapy_t8.model.codec import Codec
from scrapy_t8.model.failed_task import FailedTask
from scrapy_t8.model.job import JobRecord, Run
from scrapy_t8.model.resume_point import (
    DIED,
    FINISHED,
    STOPPED,
    CollectionState,
    ResumePoint,
    by_task_type,
    collection_state,
)
from scrapy_t8.stores.base import Store
from scrapy_t8.stores.sqlite.store import SQLiteStore
from scrapy_t8.utils.times import moment

from .dead_letters import DeadLetters

STATUS = {None: DIED, "finished": FINISHED}
"""The status of a run, by the reason of its end; a run that ended for any other reason was stopped."""


class ResumePoints:
    """Reads and sets the resume points in *store*."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def all(self) -> dict[tuple[str, str], ResumePoint]:
        """Return all points, by task type and name.

        :raises FormatError: for a point with an invalid field, naming the field.
        """
        return {(p.task_type, p.name): p.point() for p in self._store.points.all()}

    def get(self, task_type: str, name: str = "") -> ResumePoint | None:
        """Return the point of this task type and name, or None."""
        return self.all().get((task_type, name))

    def history(self, task_type: str) -> list[ResumePoint]:
        """Return the earlier points of one task type, the newest first."""
        return [record.point() for record in self._store.points.history(task_type)]

    def set(self, point: ResumePoint, name: str = "") -> None:
        """Make the next job begin after the page, cursor or slug of *point*.

        An unfinished job resumes from its frontier, whatever its points are.
        """
        self._store.points.put(record_of(point, name))

    def delete(self, task_type: str, name: str = "") -> bool:
        """Delete a point: its work starts again. Return whether there was such a point."""
        return self._store.points.drop(task_type, name)

    def states(self) -> Iterator[CollectionState]:
        """Yield the state of each task type that has resume points or failed tasks."""
        job, run = self._store.job(), self._store.last_run()
        if job is None or run is None:
            return
        yield from states_of(job, run, self.all(), DeadLetters(self._store, job, Codec()).tasks())


@contextmanager
def open_resume_points(jobdir: str | Path) -> Iterator[ResumePoints]:
    """Open the resume points of a job directory, which is made if it is missing.

    :raises T8Error: if a crawl is using the job, or its state cannot be read.
    """
    store = SQLiteStore(Path(jobdir) / "t8")
    store.open()
    with closing(store):
        yield ResumePoints(store)


def record_of(point: ResumePoint, name: str) -> PointRecord:
    """Return the stored form of a *point* that is set by hand."""
    return PointRecord.of(point, name, updated=time.time(), historic=True)


def states_of(
    job: JobRecord, run: Run, points: Mapping[tuple[str, str], ResumePoint], tasks: Iterable[FailedTask]
) -> Iterator[CollectionState]:
    """Yield the state of each task type of a crawl that has resume points or failed tasks, sorted by task type."""
    began, now = moment(job.begun), moment(run.ended or run.last_commit or run.started)
    run_id, status = f"run_{moment(run.started):%Y%m%d}_{run.id:03}", STATUS.get(run.reason, STOPPED)
    for task_type, (mine, failed) in sorted(by_task_type(points, tasks).items()):
        state = CollectionState(run_id, task_type, status, began, now, _total(mine))
        yield collection_state(state, mine, failed)


def _total(points: list[ResumePoint]) -> int:
    """Return the total if every point has one, else 0: the sum of some totals would be wrong."""
    totals = [point.metadata.get("total") for point in points]
    known = [total for total in totals if isinstance(total, int)]
    return sum(known) if len(known) == len(totals) else 0
