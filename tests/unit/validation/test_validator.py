"""Validation of states, resume points, failed tasks and of the user's database."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scrapy_t8.errors import FormatError
from scrapy_t8.model.failed_task import FailedTask
from scrapy_t8.model.items import integrity_score
from scrapy_t8.model.resume_point import CollectionState, ResumePoint
from scrapy_t8.utils import threads
from scrapy_t8.validation import database as database_module
from scrapy_t8.validation.validator import ResumeValidator
from tests.support.clock import Clock
from tests.support.process import HANG

NOW = datetime(2024, 1, 15, 10, 30, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
NAIVE = NOW.replace(tzinfo=None)
TYPE = "LIST_COLLECTION"
POINT = ResumePoint(TYPE, 5, total_processed=120, last_update=NOW, metadata={"total": 1000})
TASK = FailedTask(f"{TYPE}_a1b2c3d4", TYPE, "car-001", "timeout", 2, 3, NOW + HOUR, NOW)


class Known:
    """States that are at hand."""

    def __init__(self, *states: CollectionState) -> None:
        self._states = states

    def states(self) -> Iterable[CollectionState]:
        return self._states


def state(*records: ResumePoint | FailedTask, task_type: str = TYPE, **more: Any) -> CollectionState:
    points = [record for record in records if isinstance(record, ResumePoint)]
    tasks = [record for record in records if isinstance(record, FailedTask)]
    return CollectionState(
        "run_1", task_type, "RUNNING", NOW - HOUR, NOW, resume_points=points, failed_tasks=tasks, **more
    )


def found(*records: ResumePoint | FailedTask) -> list[tuple[str, str]]:
    """Rule and field of all findings."""
    result = ResumeValidator(Known(state(*records))).validate_sync(NOW)
    findings = result["resume_points"] + result["failed_tasks"]
    assert result["valid"] is not bool(findings)
    assert json.loads(json.dumps(result)) == result
    return [(finding["rule"], finding["field"]) for finding in findings]


# -- resume points and failed tasks ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({}, []),
        ({"metadata": {}}, []),
        ({"current_page": -1}, [("negative", "current_page")]),
        ({"total_processed": -1}, [("negative", "total_processed")]),
        ({"total_processed": 1001}, [("beyond_total", "total_processed")]),
        ({"total_processed": 1001, "metadata": {"total": "many"}}, []),
        ({"last_update": NOW + timedelta(seconds=59)}, []),
        ({"last_update": NOW + timedelta(seconds=61)}, [("future", "last_update")]),
        ({"last_update": NAIVE}, [("naive", "last_update")]),
        ({"last_update": NOW.replace(year=1970)}, [("ancient", "last_update")]),
        ({"last_update": "yesterday"}, [("error", "")]),
        ({"metadata": None}, [("error", ""), ("error", "")]),
        ({"task_type": ""}, [("empty", "task_type")]),
        ({"task_type": "OTHER"}, [("contradictory", "task_type")]),
    ],
)
def test_resume_points(changes: dict[str, Any], wrong: list[tuple[str, str]]) -> None:
    assert found(replace(POINT, **changes)) == wrong


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"current_page": 6, "total_processed": 144, "last_update": NOW}, []),
        ({"current_page": 6, "total_processed": 100, "last_update": NOW}, [("contradictory", "total_processed")]),
        ({"current_page": 1, "total_processed": 24, "last_update": NOW}, []),
        ({"current_page": 6}, [("contradictory", "last_update")]),
        ({"last_slug": "car-002"}, [("contradictory", "last_update")]),
        ({}, []),
        ({"current_page": 6, "total_processed": 1, "metadata": {"tag": "used"}}, []),
    ],
)
def test_two_points_of_one_piece_of_work(changes: dict[str, Any], wrong: list[tuple[str, str]]) -> None:
    point = replace(POINT, metadata={"tag": "new"}, last_update=NOW - HOUR)
    assert found(point, replace(point, **changes)) == wrong


def test_points_without_metadata_may_be_of_different_work() -> None:
    assert found(replace(POINT, metadata={}), replace(POINT, metadata={}, current_page=6, total_processed=1)) == []


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({}, []),
        ({"task_id": f"{TYPE}_A1B2C3D4"}, [("form", "task_id")]),
        ({"task_id": f"{TYPE}_a1b2c3d"}, [("form", "task_id")]),
        ({"task_id": "OTHER_a1b2c3d4"}, [("form", "task_id")]),
        ({"task_id": None}, [("error", "")]),
        ({"target": ""}, [("empty", "target")]),
        ({"retry_count": -1}, [("negative", "retry_count")]),
        ({"retry_count": 3}, []),
        ({"retry_count": 4}, [("exhausted", "retry_count")]),
        ({"retry_count": 4, "next_retry_time": None}, []),
        ({"retry_count": 4, "metadata": {"kind": "network"}}, []),
        ({"next_retry_time": None}, [("missing", "next_retry_time")]),
        ({"next_retry_time": None, "metadata": {"kind": "http"}}, []),
        ({"next_retry_time": NOW + timedelta(days=31)}, [("distant", "next_retry_time")]),
        ({"next_retry_time": NOW - HOUR}, [("order", "created_at")]),
        ({"next_retry_time": NAIVE}, [("naive", "next_retry_time")]),
        ({"created_at": NAIVE}, [("naive", "created_at")]),
        ({"created_at": NOW.replace(year=1970)}, [("ancient", "created_at")]),
        ({"created_at": NOW + HOUR / 2}, [("future", "created_at")]),
        ({"created_at": NOW - HOUR, "next_retry_time": NOW - HOUR / 2}, []),
    ],
)
def test_failed_tasks(changes: dict[str, Any], wrong: list[tuple[str, str]]) -> None:
    assert found(replace(TASK, **changes)) == wrong


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({}, []),
        ({"total_items": 5, "processed_items": 5, "failed_items": 5}, []),
        ({"total_items": 5, "processed_items": 6}, [("beyond_total", "processed_items")]),
        ({"total_items": 5, "failed_items": 6}, [("beyond_total", "failed_items")]),
        ({"processed_items": 6}, []),
        ({"total_items": -1, "processed_items": -1}, [("negative", "total_items"), ("negative", "processed_items")]),
        ({"status": "LOST"}, [("unknown", "status")]),
        ({"task_type": ""}, [("empty", "task_type")]),
        ({"start_time": NAIVE}, [("naive", "start_time")]),
        ({"start_time": NOW + 2 * HOUR}, [("future", "start_time"), ("order", "last_update")]),
        ({"last_update": NOW - 2 * HOUR}, [("order", "last_update")]),
        ({"total_items": None}, [("error", "")]),
    ],
)
def test_runs(changes: dict[str, Any], wrong: list[tuple[str, str]]) -> None:
    result = ResumeValidator(Known(replace(state(), **changes))).validate_sync(NOW)
    assert [(finding["rule"], finding["field"]) for finding in result["states"]] == wrong
    assert result["valid"] is not bool(wrong)


class Remembering(Known):
    """States that know what their points were."""

    def __init__(self, *history: ResumePoint) -> None:
        super().__init__(state())
        self._history = list(history)

    def point_histories(self) -> dict[str, dict[str, list[ResumePoint]]]:
        return {TYPE: {"": self._history}}


@pytest.mark.parametrize(
    ("earlier", "later", "wrong"),
    [
        ((5, 120), (6, 144), []),
        ((5, 120), (5, 130), []),
        ((5, 120), (1, 130), []),
        ((5, 120), (3, 60), []),
        ((5, 120), (3, 130), [("backwards", "current_page")]),
        ((5, 120), (3, 120), [("backwards", "current_page")]),
        ((5, 120), (5, 119), [("backwards", "total_processed")]),
        ((0, 120), (0, 119), [("backwards", "total_processed")]),
    ],
)
def test_a_point_that_goes_back(earlier: tuple[int, int], later: tuple[int, int], wrong: list[tuple[str, str]]) -> None:
    def at(place: tuple[int, int], time: datetime) -> ResumePoint:
        return replace(POINT, current_page=place[0], total_processed=place[1], last_update=time)

    known = Remembering(at(later, NOW), at(earlier, NOW - HOUR / 2))
    result = ResumeValidator(known).validate_sync(NOW)
    assert [(finding["rule"], finding["field"]) for finding in result["resume_points"]] == wrong
    before_the_run = Remembering(at(later, NOW), at(earlier, NOW - 2 * HOUR))
    assert ResumeValidator(before_the_run).validate_sync(NOW)["valid"]


def test_two_tasks_of_one_id() -> None:
    assert found(TASK, replace(TASK, target="car-002"), replace(TASK, task_id=f"{TYPE}_00000000")) == [
        ("duplicate", "task_id")
    ]


def test_records_that_are_none() -> None:
    strange: Any = {"task_type": TYPE}
    result = ResumeValidator(Known(replace(state(), resume_points=[strange], failed_tasks=[strange]))).validate_sync(
        NOW
    )
    assert {finding["rule"] for finding in result["resume_points"] + result["failed_tasks"]} == {"error"}


def test_a_finding_says_where_it_was_found() -> None:
    validator = ResumeValidator(Known(state(replace(POINT, current_page=-1))))
    assert validator.validate_sync(NOW)["resume_points"] == [
        {
            "rule": "negative",
            "task_type": TYPE,
            "id": f"{TYPE}_{NOW.timestamp():.0f}",
            "field": "current_page",
            "message": "current_page is -1",
        }
    ]


def test_states_that_cannot_be_read_to_their_end() -> None:
    class Torn:
        def states(self) -> Iterator[CollectionState]:
            yield state(replace(POINT, current_page=-1))
            raise FormatError("last_update: a ResumePoint needs this field", "last_update")

    result = ResumeValidator(Torn()).validate_sync(NOW)
    assert [(f["rule"], f["field"]) for f in result["resume_points"]] == [
        ("unreadable", "last_update"),
        ("negative", "current_page"),
    ]
    assert not result["valid"]


# -- custom validation -------------------------------------------------------------------------------------------


class Custom(ResumeValidator):
    answer: Any = None

    async def custom_validation(self, state: CollectionState) -> dict[str, Any]:
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer == "hang":
            await asyncio.sleep(HANG)
        while self.answer == "stubborn":
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(HANG)
        return self.answer  # type: ignore[no-any-return]


class Plain(ResumeValidator):
    def custom_validation(self, state: CollectionState) -> dict[str, Any]:  # type: ignore[override]
        return {"type": state.task_type}


@pytest.mark.parametrize(
    ("answer", "reported", "valid"),
    [
        ({}, {}, True),
        ({"images": 5, "error": None, "valid": True}, {"images": 5, "error": None, "valid": True}, True),
        ({"valid": False}, {"valid": False}, False),
        ({"error": "5 images are broken"}, {"error": "5 images are broken"}, False),
        (ValueError("a bug"), {"error": "custom_validation failed: ValueError: a bug"}, False),
        (None, {"error": "custom_validation returned None, which is no dict"}, False),
        ("hang", {"error": "custom_validation gave no answer in 0.05 s"}, False),
        ("stubborn", {"error": "custom_validation gave no answer in 0.05 s"}, False),
    ],
)
def test_custom_validation(answer: Any, reported: dict[str, Any], valid: bool) -> None:
    validator = Custom(Known(state(POINT)), timeout=0.05 if answer in ("hang", "stubborn") else HANG)
    validator.answer = answer
    result = validator.validate_sync(NOW)
    assert (result["custom"], result["valid"]) == ({TYPE: reported}, valid)


def test_custom_validation_may_be_a_plain_method() -> None:
    result = Plain(Known(state(), state(task_type="OTHER"))).validate_sync(NOW)
    assert result["custom"] == {TYPE: {"type": TYPE}, "OTHER": {"type": "OTHER"}}


class Gate:
    """Lets a thread through when it is opened, and says whether a thread has come to it."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def wait(self) -> None:
        self.reached.set()
        assert self.opened.wait(HANG), "hang guard"

    async def is_passed_by(self, work: Coroutine[Any, Any, Any]) -> dict[str, Any]:
        """Return what *work* returns, which comes to the gate. Only a loop that goes on meanwhile can open it."""
        task = asyncio.ensure_future(work)
        while not self.reached.is_set():
            await asyncio.sleep(0.01)
        assert not task.done()
        self.opened.set()
        result: dict[str, Any] = await task
        return result


class Gated(ResumeValidator):
    """Its validation is a plain method that waits."""

    gate: Gate

    def custom_validation(self, state: CollectionState) -> dict[str, Any]:  # type: ignore[override]
        self.gate.wait()
        return {}


def test_a_plain_method_does_not_hold_up_the_loop() -> None:
    validator = Gated(Known(state()), timeout=2 * HANG)
    validator.gate = Gate()
    assert asyncio.run(validator.gate.is_passed_by(validator.validate(NOW)))["valid"]


def test_a_plain_method_that_hangs_is_given_up() -> None:
    validator = Gated(Known(state()), timeout=0.2)
    validator.gate = Gate()
    assert not asyncio.run(validator.validate(NOW))["valid"]
    validator.gate.opened.set()


def test_inside_of_a_running_loop() -> None:
    async def both() -> tuple[dict[str, Any], dict[str, Any]]:
        validator = Custom(Known(state(POINT)), Books(120))
        validator.answer = {"images": 5}
        return validator.validate_sync(NOW), await validator.validate(NOW)

    of_plain_code, awaited = asyncio.run(both())
    assert of_plain_code == awaited
    assert awaited["custom"] == {TYPE: {"images": 5}}


# -- the database ------------------------------------------------------------------------------------------------


class Books:
    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self.asked = 0

    def count_items(self, task_type: str) -> int:
        self.asked += 1
        if isinstance(self._answer, Exception):
            raise self._answer
        if isinstance(self._answer, Gate):
            self._answer.wait()
            self._answer = 0
        return self._answer  # type: ignore[no-any-return]

    def has_item(self, task_type: str, key: str) -> bool:
        return key.isdigit() and int(key) < self._answer

    def iter_keys(self, task_type: str) -> Iterable[str]:
        return map(str, range(self._answer))


class AsyncBooks(Books):
    async def count_items(self, task_type: str) -> int:  # type: ignore[override]
        await asyncio.sleep(0)
        return super().count_items(task_type)

    async def has_item(self, task_type: str, key: str) -> bool:  # type: ignore[override]
        await asyncio.sleep(0)
        return super().has_item(task_type, key)

    async def iter_keys(self, task_type: str) -> AsyncIterator[str]:  # type: ignore[override]
        for key in super().iter_keys(task_type):
            await asyncio.sleep(0)
            yield key


@pytest.mark.parametrize(
    ("count", "rules"),
    [
        (120, []),
        (115, []),
        (114, ["too_few"]),
        (1000, []),
        (1001, ["too_many"]),
        ("many", ["database"]),
        (-1, ["database"]),
        (None, ["database"]),
        (ConnectionError("refused"), ["database"]),
    ],
)
def test_the_database(count: Any, rules: list[str]) -> None:
    known = Known(state(total_items=1000, processed_items=120, failed_items=5))
    result = ResumeValidator(known, Books(count)).validate_sync(NOW)
    assert [problem["rule"] for problem in result["database"]["problems"]] == rules
    assert result["database"]["counts"] == ({} if rules == ["database"] else {TYPE: count})
    assert result["valid"] is not bool(rules)


def test_without_a_database() -> None:
    assert ResumeValidator(Known(state(processed_items=120))).validate_sync(NOW)["database"] == {}


def test_a_database_that_is_set_later() -> None:
    validator = ResumeValidator(Known(state()))
    validator.db_manager = Kept("a", "a")
    assert [problem["rule"] for problem in validator.validate_sync(NOW)["database"]["problems"]] == ["duplicate"]
    validator.db_manager = None
    assert validator.validate_sync(NOW)["database"] == {}


def test_an_async_database() -> None:
    result = ResumeValidator(Known(state()), AsyncBooks(7)).validate_sync(NOW)
    assert result["database"] == {"counts": {TYPE: 7}, "problems": []}


def test_a_database_that_hangs_is_queried_once() -> None:
    books = Books(Gate())
    result = ResumeValidator(Known(state(), state(task_type="OTHER")), books, timeout=0.1).validate_sync(NOW)
    assert [problem["message"] for problem in result["database"]["problems"]] == [
        "the database gave no answer in 0.1 s",
        "the database gave no answer in 0.1 s",
    ]
    assert books.asked == 1


def test_a_database_that_hangs_does_not_hold_up_the_loop() -> None:
    gate = Gate()
    validator = ResumeValidator(Known(state()), Books(gate), timeout=2 * HANG)
    assert asyncio.run(gate.is_passed_by(validator.validate(NOW)))["database"]["problems"] == []


class Kept:
    """A database of keys."""

    def __init__(self, *keys: Any) -> None:
        self.keys = list(keys)

    def count_items(self, task_type: str) -> int:
        return len(self.keys)

    def has_item(self, task_type: str, key: str) -> bool:
        return key in self.keys

    def iter_keys(self, task_type: str) -> Any:
        return iter(self.keys)


class AsyncKept(Kept):
    async def iter_keys(self, task_type: str) -> Any:
        await asyncio.sleep(0)
        return self.keys


class Broken(Kept):
    """Fails when so many keys were read."""

    def __init__(self, *keys: Any, failure: Any) -> None:
        super().__init__(*keys)
        self._failure = failure

    def iter_keys(self, task_type: str) -> Any:
        yield from self.keys
        if isinstance(self._failure, BaseException):
            raise self._failure
        time.sleep(HANG)


class AsyncBroken(Broken):
    async def iter_keys(self, task_type: str) -> Any:
        for key in self.keys:
            yield key
        await asyncio.sleep(HANG)


class Expecting(ResumeValidator):
    expected: Any = ()

    def expected_keys(self, task_type: str) -> Any:
        if isinstance(self.expected, Exception):
            raise self.expected
        return self.expected


def items_of(
    database: Any, expected: Any, *, status: str = "FINISHED", total: int = 0, timeout: float = HANG
) -> tuple[Any, list[str], Any]:
    """Numbers, rules of the findings, and the score."""
    known = Known(replace(state(total_items=total), status=status))
    validator = Expecting(known, database, timeout=timeout)
    validator.expected = expected
    result = validator.validate_sync(NOW)
    items = result["items"][TYPE]
    numbers = tuple(items[name] for name in ("expected", "there", "unique", "invalid", "duplicates", "missing"))
    return numbers, [problem["rule"] for problem in result["database"]["problems"]], result["integrity_score"]


@pytest.mark.parametrize("kind", [Kept, AsyncKept])
def test_items_key_by_key(kind: type[Kept]) -> None:
    database = kind("a", "b", "b", None, " ", 7)
    assert items_of(database, None) == ((None, 6, 3, 2, 1, None), ["duplicate", "invalid"], None)
    assert items_of(database, None, total=6) == ((6, 6, 3, 2, 1, 3), ["duplicate", "invalid", "missing"], 0.5)
    assert items_of(database, ["a", "7", "c", "c", "d"]) == (
        (4, 6, 2, 2, 1, 2),
        ["duplicate", "invalid", "missing"],
        0.5,
    )
    assert items_of(kind("a"), iter("a")) == ((1, 1, 1, 0, 0, 0), [], 1.0)
    assert items_of(kind(), []) == ((None, 0, 0, 0, 0, None), [], None)


def test_a_running_collector_may_lack_items() -> None:
    assert items_of(Kept("a"), ["a", "b"], status="RUNNING") == ((2, 1, 1, 0, 0, 1), [], 0.5)
    assert items_of(Kept("a"), None, status="STOPPED", total=2) == ((2, 1, 1, 0, 0, 1), [], 0.5)


def test_what_comes_while_it_is_looked_for_is_not_missing() -> None:
    class Late(Kept):
        def has_item(self, task_type: str, key: str) -> bool:
            return key == "b"

    assert items_of(Late("a"), ["a", "b", "c"]) == ((3, 2, 2, 0, 0, 1), ["missing"], 2 / 3)


def test_surplus_items_of_one_type_do_not_hide_missing_ones_of_another() -> None:
    class Two(Kept):
        def count_items(self, task_type: str) -> int:
            return 20 if task_type == TYPE else 0

        def iter_keys(self, task_type: str) -> Any:
            return map(str, range(self.count_items(task_type)))

    known = Known(state(total_items=10), state(task_type="OTHER", total_items=10))
    validator = ResumeValidator(known, Two())
    assert validator.score_now(wait=True) == validator.validate_sync(NOW)["integrity_score"] == 0.5


@pytest.mark.parametrize(
    ("database", "message"),
    [
        (Broken("a", failure=ConnectionError("gone")), "the database failed: ConnectionError: gone"),
        (Broken("a", failure=StopAsyncIteration()), "the database failed: StopAsyncIteration: "),
        (Broken("a", failure=SystemExit(3)), "the database failed: RuntimeError: SystemExit 3"),
        (Broken("a", failure=None), "the database gave no answer in 0.3 s"),
        (AsyncBroken("a", failure=None), "the database gave no answer in 0.3 s"),
        (object(), "the database failed: AttributeError: 'object' object has no attribute 'count_items'"),
    ],
)
def test_a_database_that_fails_while_it_is_read(database: Any, message: str) -> None:
    timeout = 0.3 if "no answer" in message else HANG
    result = ResumeValidator(Known(state(total_items=1)), database, timeout=timeout).validate_sync(NOW)
    assert [problem["message"] for problem in result["database"]["problems"]] == [message.strip()]
    assert (result["valid"], result["integrity_score"]) == (False, 0.0)


def test_slow_keys_are_not_late_as_long_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes less than the limit, all of them take more."""
    clock = Clock()
    for module in (threads, database_module):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=clock))

    class Slow(Kept):
        def iter_keys(self, task_type: str) -> Any:
            for key in self.keys:
                clock.now += 20
                yield key

    assert items_of(Slow(*"abcdef"), None, total=6, timeout=30)[2] == 1.0


def test_counts_that_do_not_agree() -> None:
    class Two(Kept):
        def count_items(self, task_type: str) -> int:
            return 5

    assert items_of(Two("a"), None)[1] == ["contradictory"]


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        (ValueError("a bug"), "expected_keys failed: ValueError: a bug"),
        (3, "expected_keys failed: TypeError: 'int' object is not iterable"),
    ],
)
def test_expected_keys_that_fail(expected: Any, message: str) -> None:
    validator = Expecting(Known(state()), Kept("a"))
    validator.expected = expected
    assert [problem["message"] for problem in validator.validate_sync(NOW)["database"]["problems"]] == [message]


def test_what_validation_has_found_is_taken_off_the_quick_score() -> None:
    database = Kept("a", "b", "b", "", "x")
    validator = Expecting(Known(state()), database)
    validator.expected = ["a", "b", "c", "d"]
    assert validator.score_now(wait=True) is None
    assert validator.validate_sync(NOW)["integrity_score"] == 0.5
    database.keys.append("c")
    assert validator.score_now(wait=True) == asyncio.run(validator.score()) == 0.75


def test_many_keys_take_little_memory() -> None:
    class Many(Kept):
        def count_items(self, task_type: str) -> int:
            return 100_000

        def iter_keys(self, task_type: str) -> Any:
            return (f"a-rather-long-slug-{number}" for number in range(100_000))

    tracemalloc.start()
    try:
        assert items_of(Many(), None, total=100_000)[2] == 1.0
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3_000_000, peak  # all of them would be 8 MB


# -- items -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("there", "expected", "score"), [(0, 0, None), (5, 0, None), (5, 10, 0.5), (12, 10, 1.0), (0, 10, 0.0)]
)
def test_integrity_score(there: int, expected: int, score: float | None) -> None:
    assert integrity_score(there, expected) == score


def test_the_state_of_a_job(tmp_path: Path) -> None:
    """The store of a crawl is a state manager."""
    from scrapy_t8 import open_resume_points

    with open_resume_points(tmp_path) as points:
        points.set(POINT)
        assert ResumeValidator(points).validate_sync(NOW)["valid"]
