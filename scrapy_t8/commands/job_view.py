"""Run states, resume points and failed tasks of a job that is only read, in the forms of other programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from scrapy_t8.core.offline.dead_letters import failed_tasks
from scrapy_t8.core.offline.resume_points import states_of
from scrapy_t8.model.batch import PointRecord
from scrapy_t8.model.codec import Codec
from scrapy_t8.model.failed_task import FailedTask
from scrapy_t8.model.resume_point import DIED, RUNNING, RUNS, CollectionState, ResumePoint
from scrapy_t8.service.runs import StoredRun, collection_states

from .context import JobView

Points = dict[tuple[str, str], ResumePoint]


def points(look: JobView) -> Points:
    """Return all resume points, by task type and name."""
    found = ((name, PointRecord("?", name, 0.0, record).point()) for name, record in look.reader.points())
    return {(point.task_type, name): point for name, point in found}


def tasks(look: JobView) -> Iterator[FailedTask]:
    """Yield every failed task: those that wait, then those that were given up."""
    return failed_tasks(look.reader.all_waiting(), look.letters, look.job.id, Codec())


def stored_runs(look: JobView) -> dict[str, StoredRun]:
    """Return the newest run of each task type of a service."""
    running = look.reader.is_running()
    runs = map(StoredRun.loads, look.reader.kept_as(RUNS).values())
    return {run.task_type: run if running or run.status != RUNNING else replace(run, status=DIED) for run in runs}


def states(look: JobView) -> Iterator[CollectionState]:
    """Yield how far each task type is of which anything is known."""
    if look.is_service:
        yield from collection_states(stored_runs(look), points(look), tasks(look))
    elif runs := look.reader.runs():
        yield from states_of(look.job, runs[-1], points(look), tasks(look))
