"""Checks the records of a collector: resume points, failed tasks, runs. Pure functions."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Any, TypeAlias

from scrapy_t8.model.failed_task import FailedTask
from scrapy_t8.model.resume_point import STATUSES, CollectionState, ResumePoint

from .database import named

SKEW = timedelta(seconds=60)
"""How much the clocks of two machines may differ."""
DISTANT = timedelta(days=30)
"""A retry that is due later is a mistake."""
ANCIENT = datetime(2000, 1, 1, tzinfo=timezone.utc)
"""An older time comes from a machine with a wrong clock."""
TASK_ID = re.compile(r"(.+)_[0-9a-f]{8}", re.DOTALL)

Wrong = tuple[str, str, str]
"""Rule, field and message of a finding."""
Finding = dict[str, str]
"""A finding as a JSON object, with the task type and the id of its record."""
Record: TypeAlias = "ResumePoint | FailedTask | CollectionState"
Work = Callable[[ResumePoint], str]
"""Returns the piece of work of a point; empty if it is unknown."""


def wrong_states(states: list[CollectionState], now: datetime) -> list[Finding]:
    """Return the findings about runs, without their points and tasks."""
    return [finding for state in states for finding in _check(wrong_state, state, now)]


def wrong_points(
    states: list[CollectionState],
    histories: Mapping[str, Mapping[str, list[ResumePoint]]],
    work_of: Work,
    now: datetime,
) -> list[Finding]:
    """Return the findings about resume points, each by itself and in the order of their *histories*."""
    pairs = [(point, state) for state in states for point in state.resume_points]
    found = [finding for point, state in pairs for finding in _check(wrong_point, point, state, now)]
    try:
        found += _contradictions([point for point, _ in pairs], work_of)
        for state in states:
            for points in histories.get(state.task_type, {}).values():
                # Another run may begin anywhere.
                found += _in_order(step_back, [point for point in points if point.last_update >= state.start_time])
    except Exception as error:
        found.append(finding_of("", "", "error", "", f"resume points cannot be compared: {named(error)}"))
    return found


def wrong_tasks(states: list[CollectionState], now: datetime) -> list[Finding]:
    """Return the findings about failed tasks, each by itself and together."""
    pairs = [(task, state) for state in states for task in state.failed_tasks]
    found = [finding for task, state in pairs for finding in _check(wrong_task, task, state, now)]
    times = Counter(str(getattr(task, "task_id", "")) for task, _ in pairs)
    for task_id, count in times.items():
        if count > 1:
            task_type = task_id.rpartition("_")[0]
            found.append(finding_of(task_type, task_id, "duplicate", "task_id", f"{count} tasks have this id"))
    return found


def finding_of(task_type: str, which: str, rule: str, name: str, message: str) -> Finding:
    """Return a finding about the record with the id *which*."""
    return {"rule": rule, "task_type": task_type, "id": which, "field": name, "message": message}


# -- single records ----------------------------------------------------------------------------------------------


def wrong_state(state: CollectionState, now: datetime) -> Iterator[Wrong]:
    """Yield the findings about a run by itself."""
    if not state.task_type:
        yield "empty", "task_type", "there is no task type"
    if state.status not in STATUSES:
        yield "unknown", "status", f"it is {state.status}, which is none of {', '.join(STATUSES)}"
    yield from _negative(state, "total_items", "processed_items", "failed_items")
    for name in ("processed_items", "failed_items"):
        if 0 < state.total_items < getattr(state, name):
            yield "beyond_total", name, f"{name} is {getattr(state, name)}, of {state.total_items} that there are"
    for name in ("start_time", "last_update"):
        yield from _past(name, getattr(state, name), now)
    if _is_aware(state.start_time) and _is_aware(state.last_update) and state.last_update < state.start_time:
        message = f"{state.last_update.isoformat()} is before the start, {state.start_time.isoformat()}"
        yield "order", "last_update", message


def wrong_point(point: ResumePoint, state: CollectionState, now: datetime) -> Iterator[Wrong]:
    """Yield the findings about a resume point by itself."""
    yield from _task_type(point.task_type, state)
    yield from _negative(point, "current_page", "total_processed")
    total = point.metadata.get("total")
    if isinstance(total, int) and 0 < total < point.total_processed:
        yield "beyond_total", "total_processed", f"{point.total_processed} are processed, of {total} that there are"
    yield from _past("last_update", point.last_update, now)


def wrong_task(task: FailedTask, state: CollectionState, now: datetime) -> Iterator[Wrong]:
    """Yield the findings about a failed task by itself."""
    yield from _task_type(task.task_type, state)
    form = TASK_ID.fullmatch(task.task_id)
    if form is None or form[1] != task.task_type:
        yield "form", "task_id", f"{task.task_id!r} is not {task.task_type}_ and eight hex digits"
    if not task.target:
        yield "empty", "target", "there is no target"
    yield from _negative(task, "retry_count", "max_retries")
    yield from _past("created_at", task.created_at, now)
    yield from _budget(task)
    if task.next_retry_time is not None:
        yield from _due(task.next_retry_time, task.created_at, now)


def _budget(task: FailedTask) -> Iterator[Wrong]:
    # A crawl has a budget for each kind of failure, and buries some kinds at once: there the sum means nothing.
    if "kind" in task.metadata:
        return
    if task.next_retry_time is not None and task.retry_count > task.max_retries:
        message = f"it waits for its next try after {task.retry_count} of {task.max_retries} retries, and is not buried"
        yield "exhausted", "retry_count", message
    if task.next_retry_time is None and task.retry_count < task.max_retries:
        message = f"nothing is due after {task.retry_count} of {task.max_retries} retries"
        yield "missing", "next_retry_time", message


def _due(due: datetime, created: datetime, now: datetime) -> Iterator[Wrong]:
    if not _is_aware(due):
        yield "naive", "next_retry_time", f"{due.isoformat()} has no time zone"
        return
    if due > now + DISTANT:
        yield "distant", "next_retry_time", f"{due.isoformat()} is more than {DISTANT.days} days away"
    if _is_aware(created) and created > due:
        yield "order", "created_at", f"{created.isoformat()} is after {due.isoformat()}, when it is tried again"


def wrong_count(count: int, state: CollectionState) -> Iterator[Wrong]:
    """Yield the findings if the database has *count* items of the task type of *state*."""
    if count + state.failed_items < state.processed_items:
        failed = f" ({state.failed_items} have failed)" if state.failed_items else ""
        message = f"the database has {count} items, fewer than the {state.processed_items} processed{failed}"
        yield "too_few", "processed_items", message
    if 0 < state.total_items < count:
        message = f"the database has {count} items, more than the {state.total_items} that there are"
        yield "too_many", "total_items", message


# -- several points ----------------------------------------------------------------------------------------------


def _contradictions(points: list[ResumePoint], work_of: Work) -> list[Finding]:
    works: dict[tuple[str, str], list[ResumePoint]] = defaultdict(list)
    for point in points:
        if _is_aware(point.last_update) and (work := work_of(point)):
            works[point.task_type, work].append(point)
    return [finding for of_one in works.values() for finding in _in_order(contradiction, of_one)]


def contradiction(later: ResumePoint, earlier: ResumePoint) -> Iterator[Wrong]:
    """Yield what cannot be true of two resume points of one piece of work. A new beginning is possible."""
    places = [(p.current_page, p.last_cursor, p.last_slug, p.total_processed) for p in (earlier, later)]
    if earlier.last_update == later.last_update and places[0] != places[1]:
        yield "contradictory", "last_update", f"another point of the same time is at page {earlier.current_page}"
    elif earlier.current_page < later.current_page and earlier.total_processed > later.total_processed:
        message = (
            f"page {later.current_page} with {later.total_processed} processed, "
            f"after page {earlier.current_page} with {earlier.total_processed}"
        )
        yield "contradictory", "total_processed", message


def step_back(later: ResumePoint, earlier: ResumePoint) -> Iterator[Wrong]:
    """Yield what is wrong with a point that goes back. One at its beginning, or with less processed, began again."""
    if 1 < later.current_page < earlier.current_page and later.total_processed >= earlier.total_processed:
        message = f"it goes back to page {later.current_page}, after page {earlier.current_page}"
        yield "backwards", "current_page", message
    if earlier.current_page <= later.current_page and earlier.total_processed > later.total_processed:
        message = f"{later.total_processed} are processed, after {earlier.total_processed}"
        yield "backwards", "total_processed", message


def _in_order(rules: Callable[..., Iterable[Wrong]], points: list[ResumePoint]) -> list[Finding]:
    order = sorted(points, key=lambda point: point.last_update)
    return [finding for earlier, later in pairwise(order) for finding in _check(rules, later, earlier)]


# -- common to all records ---------------------------------------------------------------------------------------


def _check(rules: Callable[..., Iterable[Wrong]], record: Record, *others: Any) -> list[Finding]:
    """Return what *rules* find in *record*, whose fields may have any value."""
    try:
        return [finding_of(record.task_type, _id(record), *wrong) for wrong in rules(record, *others)]
    except Exception as error:
        task_type = str(getattr(record, "task_type", ""))
        return [finding_of(task_type, "", "error", "", f"it cannot be checked: {named(error)}")]


def _id(record: Record) -> str:
    if isinstance(record, FailedTask):
        return record.task_id
    if isinstance(record, CollectionState):
        return record.run_id
    return f"{record.task_type}_{int(record.last_update.timestamp())}"


def _task_type(task_type: str, state: CollectionState) -> Iterator[Wrong]:
    if not task_type:
        yield "empty", "task_type", "there is no task type"
    elif task_type != state.task_type:
        yield "contradictory", "task_type", f"it is {task_type}, in a state of {state.task_type}"


def _negative(record: Record, *names: str) -> Iterator[Wrong]:
    for name in names:
        if getattr(record, name) < 0:
            yield "negative", name, f"{name} is {getattr(record, name)}"


def _past(name: str, time: datetime, now: datetime) -> Iterator[Wrong]:
    if not _is_aware(time):
        yield "naive", name, f"{time.isoformat()} has no time zone"
    elif time > now + SKEW:
        yield "future", name, f"{time.isoformat()} is in the future"
    elif time < ANCIENT:
        yield "ancient", name, f"{time.isoformat()} is before {ANCIENT.year}"


def _is_aware(time: Any) -> bool:
    return isinstance(time, datetime) and time.tzinfo is not None
