"""Does what a collector has written down make sense, and is it what its database has?"""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from threading import Thread
from typing import Any, Protocol, TypeAlias

from ..failure import one_line
from ..resume import CollectionState, ResumePoint
from ..tasks import FailedTask
from ..threads import in_thread

TIMEOUT = 30.0
"""Seconds that the database may take for one answer, or custom validation for one state."""
SKEW = timedelta(seconds=60)
"""By so much the clocks of two machines may differ."""
DISTANT = timedelta(days=30)
"""Nobody means to wait longer for a retry."""
TASK_ID = re.compile(r"(.+)_[0-9a-f]{8}", re.DOTALL)

Wrong = tuple[str, str, str]
"""Rule, field and message of a finding."""
Finding = dict[str, str]
"""The same with the task type and the id of what it was found in."""
Record: TypeAlias = "ResumePoint | FailedTask"


class States(Protocol):
    """Knows how far each task type is."""

    def states(self) -> Iterable[CollectionState]: ...


class Database(Protocol):
    """The user's own database."""

    def count_items(self, task_type: str) -> int: ...

    def has_item(self, task_type: str, key: str) -> bool: ...

    def iter_keys(self, task_type: str) -> Iterable[str]: ...


class ResumeValidator:
    """Checks resume points, failed tasks, and the user's database. To be subclassed, for :meth:`custom_validation`.

    :param db_manager: the user's database, if there is one. It is called in threads, and may be async.
    :param timeout: seconds that it may take for one answer, or custom validation for one state.
    """

    def __init__(self, state_manager: States, db_manager: Database | None = None, *, timeout: float = TIMEOUT) -> None:
        self.state_manager = state_manager
        self.db_manager = db_manager
        self.timeout = timeout

    async def custom_validation(self, state: CollectionState) -> dict[str, Any]:
        """What else there is to be looked at. To be overridden; a plain method will do.

        The result is told as it is. It is a finding if it has an ``error``, or says that ``valid`` is False.
        """
        return {}

    def work_of(self, point: ResumePoint) -> str:
        """The piece of work that *point* is about, if that is known: two points of one may contradict each other.

        It is told by the metadata. Without any it is not known, as a crawl may have several points by name.
        """
        about = {name: value for name, value in point.metadata.items() if name != "total"}
        return json.dumps(about, sort_keys=True, default=str) if about else ""

    async def validate(self, now: datetime | None = None) -> dict[str, Any]:
        """Look at everything. Whatever fails of it is a finding; nothing is raised.

        Returns ``resume_points`` and ``failed_tasks``, lists of findings with rule, task_type, id, field and message;
        ``custom``, what custom validation says, by task type; ``database``, empty without one, else with its ``counts``
        by task type and its ``problems``; and ``valid``, whether nothing was found.
        """
        return await self._validate(*self._read(), now or datetime.now(timezone.utc))

    def validate_sync(self, now: datetime | None = None) -> dict[str, Any]:
        """The same for plain code; also inside of a running loop, which waits for it."""
        # A store may be bound to its thread, so it is read in this one.
        work = self._validate(*self._read(), now or datetime.now(timezone.utc))
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(work)
        results: list[dict[str, Any]] = []
        thread = Thread(target=lambda: results.append(asyncio.run(work)), name="t8-validate", daemon=True)
        thread.start()
        thread.join()
        return results[0]

    def _read(self) -> tuple[list[CollectionState], list[Finding]]:
        """The states, as many as can be read, and why there are no more."""
        states: list[CollectionState] = []
        try:
            states.extend(self.state_manager.states())
        except Exception as error:
            where = str(getattr(error, "field", ""))
            return states, [_finding("", "", "unreadable", where, f"the states cannot be read: {one_line(error)}")]
        return states, []

    async def _validate(self, states: list[CollectionState], unread: list[Finding], now: datetime) -> dict[str, Any]:
        points = unread + self._points(states, now)
        tasks = _tasks(states, now)
        custom = await self._custom(states)
        database = await self._database(states) if self.db_manager is not None else {}
        bad = points or tasks or database.get("problems") or any(map(_is_bad, custom.values()))
        return {
            "resume_points": points,
            "failed_tasks": tasks,
            "custom": custom,
            "database": database,
            "valid": not bad,
        }

    # -- resume points -------------------------------------------------------------------------------------------

    def _points(self, states: list[CollectionState], now: datetime) -> list[Finding]:
        pairs = [(point, state) for state in states for point in state.resume_points]
        found = [finding for point, state in pairs for finding in _look(wrong_point, point, state, now)]
        try:
            found += self._contradictions([point for point, _ in pairs])
        except Exception as error:
            found.append(_finding("", "", "error", "", f"resume points cannot be compared: {_named(error)}"))
        return found

    def _contradictions(self, points: list[ResumePoint]) -> list[Finding]:
        works: dict[tuple[str, str], list[ResumePoint]] = defaultdict(list)
        for point in points:
            if _is_aware(point.last_update) and (work := self.work_of(point)):
                works[point.task_type, work].append(point)
        orders = [sorted(of_one, key=lambda point: point.last_update) for of_one in works.values()]
        pairs = [pair for order in orders for pair in pairwise(order)]
        return [finding for earlier, later in pairs for finding in _look(contradiction, later, earlier)]

    # -- what others say -----------------------------------------------------------------------------------------

    async def _custom(self, states: list[CollectionState]) -> dict[str, dict[str, Any]]:
        told: dict[str, dict[str, Any]] = {}
        for state in states:
            told[state.task_type] = told.get(state.task_type, {}) | await self._custom_of(state)
        return told

    async def _custom_of(self, state: CollectionState) -> dict[str, Any]:
        try:
            answer: Any = self.custom_validation(state)
            if inspect.isawaitable(answer):
                answer = await asyncio.wait_for(answer, self.timeout)
        except (asyncio.TimeoutError, TimeoutError):
            return {"error": f"custom_validation gave no answer in {self.timeout:g} s"}
        except Exception as error:
            return {"error": f"custom_validation failed: {_named(error)}"}
        if not isinstance(answer, dict):
            return {"error": f"custom_validation returned {one_line(repr(answer), 100)}, which is no dict"}
        return answer

    async def _database(self, states: list[CollectionState]) -> dict[str, Any]:
        counts: dict[str, int] = {}
        problems: list[Finding] = []
        for task_type in dict.fromkeys(state.task_type for state in states):
            try:
                counts[task_type] = await self._count(task_type)
            except (asyncio.TimeoutError, TimeoutError):
                message = f"the database gave no answer in {self.timeout:g} s"
                problems.append(_finding(task_type, "", "database", "", message))
                break  # nor will it the next time
            except Exception as error:
                problems.append(_finding(task_type, "", "database", "", f"the database failed: {_named(error)}"))
        for state in states:
            if state.task_type in counts:
                wrong = wrong_count(counts[state.task_type], state)
                problems += [_finding(state.task_type, state.run_id, *one) for one in wrong]
        return {"counts": counts, "problems": problems}

    async def _count(self, task_type: str) -> int:
        assert self.db_manager is not None

        async def ask(count: Callable[[str], Any]) -> Any:
            answer = await in_thread(count, task_type)
            return await answer if inspect.isawaitable(answer) else answer

        answer = await asyncio.wait_for(ask(self.db_manager.count_items), self.timeout)
        if not isinstance(answer, int) or isinstance(answer, bool) or answer < 0:
            raise ValueError(f"count_items returned {answer!r:.100}")
        return answer


def _is_bad(custom: dict[str, Any]) -> bool:
    return bool(custom.get("error")) or custom.get("valid") is False


# -- single records ----------------------------------------------------------------------------------------------


def wrong_point(point: ResumePoint, state: CollectionState, now: datetime) -> Iterator[Wrong]:
    """What is wrong with a resume point by itself."""
    yield from _task_type(point.task_type, state)
    for name in ("current_page", "total_processed"):
        if getattr(point, name) < 0:
            yield "negative", name, f"{name} is {getattr(point, name)}"
    total = point.metadata.get("total")
    if isinstance(total, int) and 0 < total < point.total_processed:
        yield "beyond_total", "total_processed", f"{point.total_processed} are processed, of {total} that there are"
    yield from _past("last_update", point.last_update, now)


def contradiction(later: ResumePoint, earlier: ResumePoint) -> Iterator[Wrong]:
    """What cannot be true of two resume points of one piece of work. To begin again, as some lists must, can be."""
    places = [(p.current_page, p.last_cursor, p.last_slug, p.total_processed) for p in (earlier, later)]
    if earlier.last_update == later.last_update and places[0] != places[1]:
        yield "contradictory", "last_update", f"another point of the same time is at page {earlier.current_page}"
    elif earlier.current_page < later.current_page and earlier.total_processed > later.total_processed:
        message = (
            f"page {later.current_page} with {later.total_processed} processed, "
            f"after page {earlier.current_page} with {earlier.total_processed}"
        )
        yield "contradictory", "total_processed", message


def wrong_task(task: FailedTask, state: CollectionState, now: datetime) -> Iterator[Wrong]:
    """What is wrong with a failed task by itself."""
    yield from _task_type(task.task_type, state)
    form = TASK_ID.fullmatch(task.task_id)
    if form is None or form[1] != task.task_type:
        yield "form", "task_id", f"{task.task_id!r} is not {task.task_type}_ and eight hex digits"
    if not task.target:
        yield "empty", "target", "there is no target"
    for name in ("retry_count", "max_retries"):
        if getattr(task, name) < 0:
            yield "negative", name, f"{name} is {getattr(task, name)}"
    yield from _past("created_at", task.created_at, now)
    yield from _budget(task)
    if task.next_retry_time is not None:
        yield from _due(task.next_retry_time, task.created_at, now)


def _budget(task: FailedTask) -> Iterator[Wrong]:
    # A crawl has a budget for each kind of failure, and buries some at once: there the sum tells nothing.
    if "kind" in task.metadata:
        return
    if task.next_retry_time is not None and task.retry_count > task.max_retries:
        message = f"it waits for its next try after {task.retry_count} of {task.max_retries} retries"
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
    """What is wrong if the database has *count* items of the task type of *state*."""
    if count + state.failed_items < state.processed_items:
        failed = f" ({state.failed_items} have failed)" if state.failed_items else ""
        message = f"the database has {count} items, fewer than the {state.processed_items} processed{failed}"
        yield "too_few", "processed_items", message
    if 0 < state.total_items < count:
        message = f"the database has {count} items, more than the {state.total_items} that there are"
        yield "too_many", "total_items", message


def _tasks(states: list[CollectionState], now: datetime) -> list[Finding]:
    pairs = [(task, state) for state in states for task in state.failed_tasks]
    found = [finding for task, state in pairs for finding in _look(wrong_task, task, state, now)]
    for task_id, times in find_duplicates(str(getattr(task, "task_id", "")) for task, _ in pairs).items():
        task_type = task_id.rpartition("_")[0]
        found.append(_finding(task_type, task_id, "duplicate", "task_id", f"{times} tasks have this id"))
    return found


def _look(rules: Callable[..., Iterable[Wrong]], record: Record, *others: Any) -> list[Finding]:
    """What *rules* find in *record*, which may have anything in its fields."""
    try:
        return [_finding(record.task_type, _id(record), *wrong) for wrong in rules(record, *others)]
    except Exception as error:
        task_type = str(getattr(record, "task_type", ""))
        return [_finding(task_type, "", "error", "", f"it cannot be checked: {_named(error)}")]


def _id(record: Record) -> str:
    if isinstance(record, FailedTask):
        return record.task_id
    return f"{record.task_type}_{int(record.last_update.timestamp())}"


def _task_type(task_type: str, state: CollectionState) -> Iterator[Wrong]:
    if not task_type:
        yield "empty", "task_type", "there is no task type"
    elif task_type != state.task_type:
        yield "contradictory", "task_type", f"it is {task_type}, in a state of {state.task_type}"


def _past(name: str, time: datetime, now: datetime) -> Iterator[Wrong]:
    if not _is_aware(time):
        yield "naive", name, f"{time.isoformat()} has no time zone"
    elif time > now + SKEW:
        yield "future", name, f"{time.isoformat()} is in the future"


def _is_aware(time: Any) -> bool:
    return isinstance(time, datetime) and time.tzinfo is not None


def _finding(task_type: str, which: str, rule: str, name: str, message: str) -> Finding:
    return {"rule": rule, "task_type": task_type, "id": which, "field": name, "message": message}


def _named(error: Exception) -> str:
    return one_line(f"{type(error).__name__}: {error}")


# -- items -------------------------------------------------------------------------------------------------------


def integrity_score(unique_valid: int, expected: int) -> float | None:
    """The part of the expected items that are there, once and valid; None if nothing is expected."""
    return max(0.0, min(1.0, unique_valid / expected)) if expected > 0 else None


def find_duplicates(keys: Iterable[str]) -> dict[str, int]:
    """The keys that are there more than once, and how often."""
    return {key: times for key, times in Counter(keys).items() if times > 1}


def find_missing(db_manager: Database, task_type: str, keys: Iterable[str]) -> list[str]:
    """The *keys* that the database does not have, in their order. What it raises is raised."""
    return [key for key in dict.fromkeys(keys) if not db_manager.has_item(task_type, key)]
