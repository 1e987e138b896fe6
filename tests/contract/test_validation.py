"""Validation and the user's database as the docs describe them, line by line."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from scrapy_t8 import CollectionState, ResumeValidator, SQLDatabase, T8ResumeAndRetry

TYPE = "DETAIL_COLLECTION"
KEYS = ["car-1", "car-2", "car-2"]


class Database:
    """Any object with these three will do."""

    def count_items(self, task_type: str) -> int:
        return len(KEYS)

    def has_item(self, task_type: str, key: str) -> bool:
        return key in KEYS

    def iter_keys(self, task_type: str) -> Iterator[str]:
        yield from KEYS


class AsyncDatabase:
    """So it will if they are async."""

    async def count_items(self, task_type: str) -> int:
        return len(KEYS)

    async def has_item(self, task_type: str, key: str) -> bool:
        return key in KEYS

    async def iter_keys(self, task_type: str) -> AsyncIterator[str]:
        for key in KEYS:
            yield key


def over_sqlalchemy() -> SQLDatabase:
    """The ready one: URL, and table and key column per task type."""
    with sqlite3.connect("shop.db") as shop:
        shop.execute("CREATE TABLE cars (slug TEXT)")
        shop.executemany("INSERT INTO cars VALUES (?)", [(key,) for key in KEYS])
    shop.close()
    return SQLDatabase("sqlite:///shop.db", {TYPE: ("cars", "slug")})


class MyValidator(ResumeValidator):
    async def custom_validation(self, state: CollectionState) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"points": len(state.resume_points)}

    def expected_keys(self, task_type: str) -> list[str]:
        return ["car-1", "car-2", "car-3", "car-4"]


@pytest.mark.parametrize("make", [Database, AsyncDatabase, over_sqlalchemy])
def test_integrity_duplicates_and_missing_items(make: Any) -> None:
    t8 = T8ResumeAndRetry({}, db_manager=make())
    t8.validator = MyValidator(t8.state_manager, t8.db_manager)
    t8.state_manager.start_run(TYPE, total_items=4)
    t8.state_manager.finish_run(TYPE)
    plain, awaited = t8.validate_sync(), asyncio.run(t8.validate())
    assert plain == awaited
    assert (plain["valid"], plain["integrity_score"]) == (False, 0.5)
    assert plain["items"][TYPE]["duplicate_keys"] == {"car-2": 2}
    assert plain["items"][TYPE]["missing_keys"] == ["car-3", "car-4"]
    assert plain["custom"] == {TYPE: {"points": 0}}
    assert [problem["rule"] for problem in plain["database"]["problems"]] == ["duplicate", "missing"]
    assert t8.get_metrics()["data_integrity_score"] == 0.5
    assert [alert["name"] for alert in t8.check_alerts()] == ["data_integrity_score"]
    t8.stop_service()


def test_resume_points_and_failed_tasks_are_validated(t8: T8ResumeAndRetry) -> None:
    t8.create_resume_point(task_type="LIST_COLLECTION", current_page=1, total_processed=5, metadata={"total": 4})
    task = {"task_id": f"{TYPE}_a1b2c3d4", "task_type": TYPE, "target": "a", "error_message": "", "metadata": {}}
    counts = {"retry_count": 4, "max_retries": 3}
    times = {"created_at": "2024-01-15T10:30:00", "next_retry_time": "2024-01-15T11:00:00"}
    t8.state_manager.import_state({**task, **counts, **times})
    result = t8.validate_sync()
    assert [finding["rule"] for finding in result["resume_points"]] == ["beyond_total"]
    assert [(finding["rule"], finding["id"]) for finding in result["failed_tasks"]] == [("exhausted", task["task_id"])]
    assert not result["valid"]


@pytest.mark.parametrize("url", ["sqlite:///shop.db", "postgresql://127.0.0.1:1/shop"])
def test_a_database_that_does_not_answer_is_a_finding(url: str) -> None:
    t8 = T8ResumeAndRetry({}, db_manager=SQLDatabase(url, {TYPE: ("cars", "slug")}))
    t8.state_manager.start_run(TYPE, total_items=4)
    [problem] = t8.validate_sync()["database"]["problems"]
    assert re.match(r"the database \S+: (there is no file|OperationalError: .*refused)", problem["message"])
    t8.stop_service()


def test_the_extra_is_called_sql() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert re.search(r'^sql = \["sqlalchemy', text, re.MULTILINE)
