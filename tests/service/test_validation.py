"""The validator of the service: what it sees in a real state, and whom it holds up."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from scrapy_t8 import ResumePoint, ResumeValidator, T8ResumeAndRetry
from scrapy_t8.utils.times import moment

from .conftest import Clock

Make = Callable[..., T8ResumeAndRetry]
TYPE = "DETAIL_COLLECTION"


class Shelf:
    """A database that may hang until it is let go."""

    def __init__(self, *keys: str) -> None:
        self.keys = list(keys)
        self.go = threading.Event()
        self.go.set()
        self.asked = 0

    def count_items(self, task_type: str) -> int:
        self.asked += 1
        self.go.wait()
        return len(self.keys)

    def has_item(self, task_type: str, key: str) -> bool:
        return key in self.keys

    def iter_keys(self, task_type: str) -> Iterator[str]:
        yield from self.keys


def with_database(make: Make, shelf: Any, timeout: float = 30, **config: Any) -> T8ResumeAndRetry:
    """A service with a database, and ten items announced."""
    t8 = make(**config)
    t8.validator = ResumeValidator(t8.state_manager, shelf, timeout=timeout)
    t8.state_manager.start_run(TYPE, total_items=10)
    return t8


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    made = Shelf(*"abcde")
    yield made
    made.go.set()


def rules(findings: list[dict[str, str]]) -> list[tuple[str, str]]:
    return [(finding["rule"], finding["field"]) for finding in findings]


def wait_for(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


# -- the state ---------------------------------------------------------------------------------------------------


def test_a_state_that_was_well_kept_has_no_findings(t8: T8ResumeAndRetry, clock: Clock) -> None:
    t8.state_manager.start_run(TYPE, total_items=100)
    t8.state_manager.add_failed_task(TYPE, "dead", "gone", max_retries=0)
    task_id = t8.add_failed_task(TYPE, "waits", "no answer")
    t8.retry_manager.register_retry_handler(TYPE, lambda target, metadata: False)
    for page in range(1, 4):
        t8.create_resume_point(TYPE, page, 20 * page)
        task = t8.get_failed_task(task_id)
        assert task is not None
        assert t8.validate_sync()["valid"], page
        clock.now += 100
        t8.retry_manager.run_due()
    assert t8.state_manager.task_counts() == (0, 2)
    assert t8.validate_sync()["valid"]


def test_a_point_that_goes_back_within_a_run_is_named(make: Make, clock: Clock) -> None:
    t8 = make(update_interval=0)
    t8.state_manager.start_run(TYPE)
    for name, page in (("new", 5), ("used", 2), ("new", 3), ("used", 3)):
        clock.now += 1
        point_id = t8.create_resume_point(TYPE, page, 50, name=name)
        if page == 3 and name == "new":
            bad = point_id
    [finding] = t8.validate_sync()["resume_points"]
    assert finding == {
        "rule": "backwards",
        "task_type": TYPE,
        "id": bad,
        "field": "current_page",
        "message": "it goes back to page 3, after page 5",
    }
    clock.now += 1
    t8.state_manager.start_run(TYPE)
    t8.create_resume_point(TYPE, 2, 50, name="new")
    assert t8.validate_sync()["valid"], "another run may begin wherever it likes"


def test_what_was_brought_in_is_looked_at(t8: T8ResumeAndRetry, clock: Clock) -> None:
    past = {"created_at": "1970-01-01T00:00:00", "retry_count": 9, "max_retries": 3, "metadata": {}}
    task = {"task_id": f"{TYPE}_a1b2c3d4", "task_type": TYPE, "target": "a", "error_message": "", **past}
    point = ResumePoint(TYPE, 1, None, None, 5, moment(clock.now + 3600), {"total": 4}).to_dict()
    t8.state_manager.import_state([{**task, "next_retry_time": "2099-01-01T00:00:00"}, point])
    result = t8.validate_sync()
    assert not result["valid"]
    assert rules(result["failed_tasks"]) == [
        ("ancient", "created_at"),
        ("exhausted", "retry_count"),
        ("distant", "next_retry_time"),
    ]
    assert {finding["id"] for finding in result["failed_tasks"]} == {f"{TYPE}_a1b2c3d4"}
    assert rules(result["resume_points"]) == [("beyond_total", "total_processed"), ("future", "last_update")]


def test_runs_whose_counts_contradict_each_other(t8: T8ResumeAndRetry, clock: Clock) -> None:
    t8.state_manager.start_run(TYPE, total_items=5)
    t8.state_manager.update_run(TYPE, processed_items=6, failed_items=7)
    result = t8.validate_sync()
    assert rules(result["states"]) == [("beyond_total", "processed_items"), ("beyond_total", "failed_items")]
    assert result["states"][0]["id"] == "run_20231114_001"


def test_a_thousand_tasks_are_read_and_checked_beside_the_loop(t8: T8ResumeAndRetry) -> None:
    with t8.state_manager.batch():
        for number in range(5000):
            t8.add_failed_task(TYPE, str(number), "")

    async def longest_pause() -> float:
        task = asyncio.ensure_future(t8.validate())
        longest, last = 0.0, time.monotonic()
        while not task.done():
            await asyncio.sleep(0)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        assert len(task.result()["failed_tasks"]) == 0
        return longest

    assert asyncio.run(longest_pause()) < 0.2


def test_a_validator_sees_what_its_batch_holds(t8: T8ResumeAndRetry) -> None:
    async def look() -> dict[str, Any]:
        with t8.state_manager.batch():
            t8.state_manager.add_failed_task(TYPE, "a", "")
            return await t8.validate()

    assert TYPE in asyncio.run(look())["items"]


# -- metrics and alerts ------------------------------------------------------------------------------------------


def test_the_score_feeds_metrics_and_alerts(make: Make, shelf: Shelf) -> None:
    t8 = with_database(make, shelf)
    assert t8.get_metrics()["data_integrity_score"] == 0.5
    [alert] = t8.check_alerts()
    assert (alert["name"], alert["value"], alert["threshold"]) == ("data_integrity_score", 0.5, 0.95)
    shelf.keys += ["e", "", "f"]
    assert t8.validate_sync()["integrity_score"] == 0.6
    assert t8.get_metrics()["data_integrity_score"] == 0.6
    shelf.keys += "ghij"
    assert t8.get_metrics()["data_integrity_score"] == 1.0
    assert t8.check_alerts() == []


def test_without_the_integrity_check_nobody_is_asked(make: Make, shelf: Shelf) -> None:
    t8 = with_database(make, shelf, enable_integrity_check=False)
    assert t8.get_metrics()["data_integrity_score"] is None
    assert t8.check_alerts() == []
    assert shelf.asked == 0


def test_metrics_inside_of_a_loop_do_not_wait(make: Make, shelf: Shelf) -> None:
    t8 = with_database(make, shelf)

    async def look() -> None:
        shelf.go.clear()
        began = time.monotonic()
        assert t8.get_metrics()["data_integrity_score"] is None
        assert t8.get_metrics()["data_integrity_score"] is None
        assert time.monotonic() - began < 1
        while not shelf.asked:
            await asyncio.sleep(0.01)
        assert t8.get_metrics()["data_integrity_score"] is None
        assert shelf.asked == 1
        shelf.go.set()
        while t8.get_metrics()["data_integrity_score"] is None:
            await asyncio.sleep(0.01)
        assert t8.get_metrics()["data_integrity_score"] == 0.5
        shelf.keys += "f"
        await t8.validate()
        assert t8.get_metrics()["data_integrity_score"] == 0.6

    asyncio.run(asyncio.wait_for(look(), 10))


def test_a_database_that_hangs_holds_up_no_retries(make: Make, shelf: Shelf) -> None:
    t8 = with_database(make, shelf, enable_metrics=True, retry_base=0, retry_check_interval=0.05)
    shelf.go.clear()
    done: list[str] = []
    t8.retry_manager.register_retry_handler(TYPE, lambda target, metadata: not done.append(target))
    with t8:
        wait_for(lambda: shelf.asked > 0)
        began = time.monotonic()
        for number in range(5):
            t8.add_failed_task(TYPE, str(number), "")
        wait_for(lambda: len(done) == 5)
        assert time.monotonic() - began < 5
    assert shelf.asked == 1


def test_a_database_that_fails_is_an_alert_and_a_line_of_the_log(
    make: Make, shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    t8 = with_database(make, shelf, timeout=0.1)
    shelf.go.clear()
    assert [alert["name"] for alert in t8.check_alerts()] == ["data_integrity_score"]
    line = "The integrity score counts the database as empty: the database gave no answer in 0.1 s"
    assert line in caplog.messages
    shelf.go.set()
    wait_for(lambda: t8.get_metrics()["data_integrity_score"] == 0.5)


# -- entry points ------------------------------------------------------------------------------------------------


def test_plain_code_inside_of_a_loop_to_which_the_database_is_bound(make: Make) -> None:
    """It cannot answer, as its loop stands still: that is a finding, and no deadlock."""

    class Bound(Shelf):
        async def count_items(self, task_type: str) -> int:  # type: ignore[override]
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self.loop))
            return 5

        loop: asyncio.AbstractEventLoop

    bound = Bound(*"abcde")
    t8 = with_database(make, bound, timeout=0.3)

    async def look() -> tuple[dict[str, Any], dict[str, Any]]:
        bound.loop = asyncio.get_running_loop()
        plain = t8.validate_sync()
        await asyncio.sleep(0.35)
        return plain, await t8.validate()

    plain, awaited = asyncio.run(asyncio.wait_for(look(), 10))
    assert [problem["message"] for problem in plain["database"]["problems"]] == ["the database gave no answer in 0.3 s"]
    assert (awaited["database"], awaited["integrity_score"]) == ({"counts": {TYPE: 5}, "problems": []}, 0.5)


def test_from_all_sides_at_once(make: Make, shelf: Shelf) -> None:
    t8 = with_database(make, shelf)
    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.append(t8.validate_sync()["items"])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(results) == 8
    assert all(result == results[0] for result in results)
    assert results[0][TYPE]["unique"] == 5
