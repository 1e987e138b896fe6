"""Run states, resume points and failed tasks of a job that is only read, in the forms of other programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from scrapy_t8.core.offline.dead_letters import failed_tasks
from scrapy_t8.core.offline.resume_points import states_of
from scrapy_t8.errors import StoreError
from scrapy_t8.model.batch import PointRecord
from scrapy_t8.model.codec import Codec
from scrapy_t8.model.failed_task import FailedTask
from scrapy_t8.model.resume_point import DIED, RUNNING, RUNS, CollectionState, ResumePoint
from scrapy_t8.utils.times import moment

from .context import JobView

Points = dict[tuple[str, str], ResumePoint]


def points(look: JobView) -> Points:
    """All resume points, by task type and name.

    :raises T8Error: for one that somebody has made a mess of.
    """
    found = {}
    for name, record in look.reader.points():
        point = PointRecord("?", name, 0.0, record).point()
        found[point.task_type, name] = point
    return found


def tasks(look: JobView) -> Iterator[FailedTask]:
    """All that failed and is not through: what waits, then what is given up."""
    return failed_tasks(look.reader.all_waiting(), look.letters, look.job.id, Codec())


def collections(look: JobView) -> list[CollectionState]:
    """The newest run of each task type of a service, without points and tasks."""
    running = look.reader.is_running()
    return [_collection(json.loads(record), running=running) for record in look.reader.kept_as(RUNS).values()]


def _collection(record: dict[str, Any], *, running: bool) -> CollectionState:
    record.pop("holder", None)
    times = {name: moment(record[name]) for name in ("start_time", "last_update")}
    if record["status"] == RUNNING and not running:
        record["status"] = DIED
    try:
        return CollectionState(**{**record, **times})
    except TypeError as error:
        raise StoreError(f"the run of {record.get('task_type')} cannot be read: {error}") from None


def states(look: JobView) -> Iterator[CollectionState]:
    """How far each task type is of which anything is known."""
    runs = look.reader.runs()
    if not runs:
        return
    found = {state.task_type: state for state in states_of(look.job, runs[-1], points(look), tasks(look))}
    begun = {state.task_type: state for state in collections(look)} if look.is_service else {}
    for task_type in sorted({*found, *begun}):
        state, run = found.get(task_type), begun.get(task_type)
        if run is None:
            assert state is not None
            yield state
        else:
            if state is not None:
                run.resume_points, run.failed_tasks = state.resume_points, state.failed_tasks
                run.processed_items = run.processed_items or state.processed_items
                run.failed_items = run.failed_items or state.failed_items
            yield run
