"""Does what a collector has written down make sense?"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from scrapy_t8.errors import FormatError
from scrapy_t8.integrity.items import find_duplicates, find_missing, integrity_score
from scrapy_t8.integrity.validators import ResumeValidator
from scrapy_t8.resume import CollectionState, ResumePoint
from scrapy_t8.tasks import FailedTask

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
        ({"created_at": NOW + HOUR / 2}, [("future", "created_at")]),
        ({"created_at": NOW - HOUR, "next_retry_time": NOW - HOUR / 2}, []),
    ],
)
def test_failed_tasks(changes: dict[str, Any], wrong: list[tuple[str, str]]) -> None:
    assert found(replace(TASK, **changes)) == wrong


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
            await asyncio.sleep(60)
        return self.answer  # type: ignore[no-any-return]


class Plain(ResumeValidator):
    def custom_validation(self, state: CollectionState) -> dict[str, Any]:  # type: ignore[override]
        return {"type": state.task_type}


@pytest.mark.parametrize(
    ("answer", "told", "valid"),
    [
        ({}, {}, True),
        ({"images": 5, "error": None, "valid": True}, {"images": 5, "error": None, "valid": True}, True),
        ({"valid": False}, {"valid": False}, False),
        ({"error": "5 images are broken"}, {"error": "5 images are broken"}, False),
        (ValueError("a bug"), {"error": "custom_validation failed: ValueError: a bug"}, False),
        (None, {"error": "custom_validation returned None, which is no dict"}, False),
        ("hang", {"error": "custom_validation gave no answer in 0.05 s"}, False),
    ],
)
def test_custom_validation(answer: Any, told: dict[str, Any], valid: bool) -> None:
    validator = Custom(Known(state(POINT)), timeout=0.05)
    validator.answer = answer
    result = validator.validate_sync(NOW)
    assert (result["custom"], result["valid"]) == ({TYPE: told}, valid)


def test_a_plain_method_will_do() -> None:
    result = Plain(Known(state(), state(task_type="OTHER"))).validate_sync(NOW)
    assert result["custom"] == {TYPE: {"type": TYPE}, "OTHER": {"type": "OTHER"}}


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
        if self._answer == "hang":
            time.sleep(60)
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


def test_an_async_database() -> None:
    result = ResumeValidator(Known(state()), AsyncBooks(7)).validate_sync(NOW)
    assert result["database"] == {"counts": {TYPE: 7}, "problems": []}


def test_a_database_that_hangs_is_asked_once() -> None:
    books, began = Books("hang"), time.monotonic()
    result = ResumeValidator(Known(state(), state(task_type="OTHER")), books, timeout=0.1).validate_sync(NOW)
    assert [problem["message"] for problem in result["database"]["problems"]] == [
        "the database gave no answer in 0.1 s",
        "the database gave no answer in 0.1 s",
    ]
    assert books.asked == 1
    assert time.monotonic() - began < 10


def test_a_database_that_hangs_does_not_hold_up_the_loop() -> None:
    async def beside() -> int:
        task = asyncio.ensure_future(ResumeValidator(Known(state()), Books("hang"), timeout=0.3).validate(NOW))
        beats = 0
        while not task.done():
            await asyncio.sleep(0.01)
            beats += 1
        return beats

    assert asyncio.run(beside()) > 5


# -- items -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("there", "expected", "score"), [(0, 0, None), (5, 0, None), (5, 10, 0.5), (12, 10, 1.0), (0, 10, 0.0)]
)
def test_integrity_score(there: int, expected: int, score: float | None) -> None:
    assert integrity_score(there, expected) == score


def test_duplicates_and_missing_items() -> None:
    assert find_duplicates(iter("abcab")) == {"a": 2, "b": 2}
    assert find_missing(Books(2), TYPE, ["7", "0", "x", "7"]) == ["7", "x"]


def test_the_state_of_a_job(tmp_path: Path) -> None:
    """What a crawl's own store tells is a state manager."""
    from scrapy_t8 import open_resume_points

    with open_resume_points(tmp_path) as points:
        points.set(POINT)
        assert ResumeValidator(points).validate_sync(NOW)["valid"]
