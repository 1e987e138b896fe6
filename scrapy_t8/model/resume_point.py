"""Resume points and collection states, in the formats that other programs read and write."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from datetime import datetime
from typing import Any

from scrapy_t8.utils.classes import record_class
from scrapy_t8.utils.times import moment

from .failed_task import FailedTask
from .json_document import OF, JsonRecord

RUNNING, FINISHED, STOPPED, DIED = STATUSES = "RUNNING", "FINISHED", "STOPPED", "DIED"
"""What a collection state can say about its run."""

RUNS = "collection:"  # The names under which a service keeps its runs: this, followed by a task type


@record_class(slots=True)
class ResumePoint(JsonRecord):
    """The durable position of a piece of work: everything up to it is done.

    :param current_page: the last page that is done; 0 before the first.
    :param last_cursor: what leads to the next page, where pages have cursors.
    :param last_slug: the last slug that is done, where work is divided by slugs.
    :param total_processed: what was done so far, also beyond this position.
    :param last_update: with a time zone.
    :param metadata: any JSON object.
    """

    task_type: str
    current_page: int = 0
    last_cursor: str | None = None
    last_slug: str | None = None
    total_processed: int = 0
    last_update: datetime = field(default_factory=lambda: moment(time.time()))
    metadata: dict[str, Any] = field(default_factory=dict)


@record_class(slots=True)
class CollectionState(JsonRecord):
    """The progress of one task type of a job.

    :param status: RUNNING, FINISHED, STOPPED or DIED.
    :param total_items: how many items there are; 0 if it is not known.
    """

    run_id: str
    task_type: str
    status: str
    start_time: datetime
    last_update: datetime
    total_items: int = 0
    processed_items: int = 0
    failed_items: int = 0
    resume_points: list[ResumePoint] = field(default_factory=list, metadata={OF: ResumePoint})
    failed_tasks: list[FailedTask] = field(default_factory=list, metadata={OF: FailedTask})


def collection_state(
    run: CollectionState | None, points: list[ResumePoint], tasks: list[FailedTask]
) -> CollectionState:
    """Return how far one task type is: its *run* with its resume points and failed tasks.

    What *run* has not counted is counted from *points* and *tasks*. Without a run, the state is that of a stopped one
    that lasted from the first to the last of them; there must be at least one then.
    """
    if run is None:
        times = [point.last_update for point in points] + [task.created_at for task in tasks]
        task_type = points[0].task_type if points else tasks[0].task_type
        run = CollectionState(f"run_{min(times):%Y%m%d}_000", task_type, STOPPED, min(times), max(times))
    return replace(
        run,
        processed_items=run.processed_items or sum(point.total_processed for point in points),
        failed_items=run.failed_items or len(tasks),
        resume_points=points,
        failed_tasks=tasks,
    )


def by_task_type(
    points: Mapping[tuple[str, str], ResumePoint], tasks: Iterable[FailedTask]
) -> dict[str, tuple[list[ResumePoint], list[FailedTask]]]:
    """Return the points, which are given by task type and name, and the tasks of each task type."""
    found: dict[str, tuple[list[ResumePoint], list[FailedTask]]] = {}
    for (task_type, _), point in points.items():
        found.setdefault(task_type, ([], []))[0].append(point)
    for task in tasks:
        found.setdefault(task.task_type, ([], []))[1].append(task)
    return found
