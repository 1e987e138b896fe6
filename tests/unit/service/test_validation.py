"""The validator of the service works on a real state and blocks nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from scrapy_t8 import ResumePoint, ResumeValidator, T8ResumeAndRetry
from scrapy_t8.utils.times import moment
from tests.support.clock import Clock
from tests.support.process import HANG, wait_until

Make = Callable[..., T8ResumeAndRetry]
TYPE = "DETAIL_COLLECTION"


class Database:
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


def with_database(make_service: Make, database: Any, timeout: float = 30, **config: Any) -> T8ResumeAndRetry:
    """A service with a database, and ten items announced."""
    service = make_service(**config)
    service.validator = ResumeValidator(service.state_manager, database, timeout=timeout)
    service.state_manager.start_run(TYPE, total_items=10)
    return service


@pytest.fixture
def database() -> Iterator[Database]:
    made = Database(*"abcde")
    yield made
    made.go.set()


def rules(findings: list[dict[str, str]]) -> list[tuple[str, str]]:
    return [(finding["rule"], finding["field"]) for finding in findings]


# -- the state ---------------------------------------------------------------------------------------------------


def test_a_valid_state_has_no_findings(service: T8ResumeAndRetry, clock: Clock) -> None:
    service.state_manager.start_run(TYPE, total_items=100)
    service.state_manager.add_failed_task(TYPE, "dead", "gone", max_retries=0)
    task_id = service.add_failed_task(TYPE, "waits", "no answer")
    service.retry_manager.register_retry_handler(TYPE, lambda target, metadata: False)
    for page in range(1, 4):
        service.create_resume_point(TYPE, page, 20 * page)
        task = service.get_failed_task(task_id)
        assert task is not None
        assert service.validate_sync()["valid"], page
        clock.now += 100
        service.retry_manager.run_due()
    assert service.state_manager.task_counts() == (0, 2)
    assert service.validate_sync()["valid"]


def test_a_point_that_goes_back_within_a_run_is_named(make_service: Make, clock: Clock) -> None:
    service = make_service(update_interval=0)
    service.state_manager.start_run(TYPE)
    for name, page in (("new", 5), ("used", 2), ("new", 3), ("used", 3)):
        clock.now += 1
        point_id = service.create_resume_point(TYPE, page, 50, name=name)
        if page == 3 and name == "new":
            bad = point_id
    [finding] = service.validate_sync()["resume_points"]
    assert finding == {
        "rule": "backwards",
        "task_type": TYPE,
        "id": bad,
        "field": "current_page",
        "message": "it goes back to page 3, after page 5",
    }
    clock.now += 1
    service.state_manager.start_run(TYPE)
    service.create_resume_point(TYPE, 2, 50, name="new")
    assert service.validate_sync()["valid"], "another run may begin wherever it likes"


def test_imported_records_are_validated(service: T8ResumeAndRetry, clock: Clock) -> None:
    past = {"created_at": "1970-01-01T00:00:00", "retry_count": 9, "max_retries": 3, "metadata": {}}
    task = {"task_id": f"{TYPE}_a1b2c3d4", "task_type": TYPE, "target": "a", "error_message": "", **past}
    point = ResumePoint(TYPE, 1, None, None, 5, moment(clock.now + 3600), {"total": 4}).to_dict()
    service.state_manager.import_state([{**task, "next_retry_time": "2099-01-01T00:00:00"}, point])
    result = service.validate_sync()
    assert not result["valid"]
    assert rules(result["failed_tasks"]) == [
        ("ancient", "created_at"),
        ("exhausted", "retry_count"),
        ("distant", "next_retry_time"),
    ]
    assert {finding["id"] for finding in result["failed_tasks"]} == {f"{TYPE}_a1b2c3d4"}
    assert rules(result["resume_points"]) == [("beyond_total", "total_processed"), ("future", "last_update")]


def test_runs_whose_counts_contradict_each_other(service: T8ResumeAndRetry, clock: Clock) -> None:
    service.state_manager.start_run(TYPE, total_items=5)
    service.state_manager.update_run(TYPE, processed_items=6, failed_items=7)
    result = service.validate_sync()
    assert rules(result["states"]) == [("beyond_total", "processed_items"), ("beyond_total", "failed_items")]
    assert result["states"][0]["id"] == "run_20231114_001"


def test_records_are_read_and_checked_beside_the_loop(
    service: T8ResumeAndRetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading and checking wait here for what only the loop does: neither could go on if it held the loop up."""
    with service.state_manager.batch():
        for number in range(50):
            service.add_failed_task(TYPE, str(number), "")
    service.create_resume_point(TYPE, 1, metadata={"tag": "red"})
    steps = {name: (threading.Event(), threading.Event()) for name in ("read", "check")}
    states = service.state_manager.states

    def wait_for_the_loop(step: str) -> None:
        begun, go_on = steps[step]
        begun.set()
        assert go_on.wait(HANG), "hang guard"

    def read() -> Iterator[Any]:
        wait_for_the_loop("read")
        yield from states()

    class Checking(ResumeValidator):
        def work_of(self, point: ResumePoint) -> str:
            wait_for_the_loop("check")
            return super().work_of(point)

    monkeypatch.setattr(service.state_manager, "states", read)
    service.validator = Checking(service.state_manager)

    async def look() -> dict[str, Any]:
        task = asyncio.ensure_future(service.validate())
        for begun, go_on in steps.values():
            while not begun.is_set():
                await asyncio.sleep(0.01)
            go_on.set()
        return await task

    assert asyncio.run(asyncio.wait_for(look(), HANG))["failed_tasks"] == []


def test_a_validator_sees_what_its_batch_holds(service: T8ResumeAndRetry) -> None:
    async def look() -> dict[str, Any]:
        with service.state_manager.batch():
            service.state_manager.add_failed_task(TYPE, "a", "")
            return await service.validate()

    assert TYPE in asyncio.run(look())["items"]


# -- metrics and alerts ------------------------------------------------------------------------------------------


def test_the_score_feeds_metrics_and_alerts(make_service: Make, database: Database) -> None:
    service = with_database(make_service, database)
    assert service.get_metrics()["data_integrity_score"] == 0.5
    [alert] = service.check_alerts()
    assert (alert["name"], alert["value"], alert["threshold"]) == ("data_integrity_score", 0.5, 0.95)
    database.keys += ["e", "", "f"]
    assert service.validate_sync()["integrity_score"] == 0.6
    assert service.get_metrics()["data_integrity_score"] == 0.6
    database.keys += "ghij"
    assert service.get_metrics()["data_integrity_score"] == 1.0
    assert service.check_alerts() == []


def test_without_the_integrity_check_the_database_is_not_queried(make_service: Make, database: Database) -> None:
    service = with_database(make_service, database, enable_integrity_check=False)
    assert service.get_metrics()["data_integrity_score"] is None
    assert service.check_alerts() == []
    assert database.asked == 0


def test_metrics_inside_of_a_loop_do_not_wait(make_service: Make, database: Database) -> None:
    service = with_database(make_service, database, 2 * HANG)

    async def look() -> None:
        database.go.clear()
        assert service.get_metrics()["data_integrity_score"] is None
        assert service.get_metrics()["data_integrity_score"] is None
        while not database.asked:
            await asyncio.sleep(0.01)
        assert service.get_metrics()["data_integrity_score"] is None
        assert database.asked == 1
        database.go.set()
        while service.get_metrics()["data_integrity_score"] is None:
            await asyncio.sleep(0.01)
        assert service.get_metrics()["data_integrity_score"] == 0.5
        database.keys += "f"
        await service.validate()
        assert service.get_metrics()["data_integrity_score"] == 0.6

    asyncio.run(asyncio.wait_for(look(), HANG))


def test_a_database_that_hangs_holds_up_no_retries(make_service: Make, database: Database) -> None:
    service = with_database(
        make_service, database, 2 * HANG, enable_metrics=True, retry_base=0, retry_check_interval=0.05
    )
    database.go.clear()
    done: list[str] = []
    service.retry_manager.register_retry_handler(TYPE, lambda target, metadata: not done.append(target))
    with service:
        wait_until(lambda: database.asked > 0)
        for number in range(5):
            service.add_failed_task(TYPE, str(number), "")
        wait_until(lambda: len(done) == 5)
        assert not database.go.is_set()
        assert database.asked == 1
        database.go.set()


def test_a_database_that_fails_is_an_alert_and_a_line_of_the_log(
    make_service: Make, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    service = with_database(make_service, database, timeout=0.1)
    database.go.clear()
    assert [alert["name"] for alert in service.check_alerts()] == ["data_integrity_score"]
    line = "The integrity score counts the database as empty: the database gave no answer in 0.1 s"
    assert line in caplog.messages
    database.go.set()
    wait_until(lambda: service.get_metrics()["data_integrity_score"] == 0.5)


# -- entry points ------------------------------------------------------------------------------------------------


def test_validate_sync_in_the_loop_to_which_the_database_is_bound(make_service: Make) -> None:
    """It cannot answer, as its loop stands still: that is a finding, and no deadlock."""

    class Bound(Database):
        async def count_items(self, task_type: str) -> int:  # type: ignore[override]
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self.loop))
            return 5

        loop: asyncio.AbstractEventLoop

    bound = Bound(*"abcde")
    service = with_database(make_service, bound, timeout=0.3)

    async def look() -> tuple[dict[str, Any], dict[str, Any]]:
        bound.loop = asyncio.get_running_loop()
        plain = service.validate_sync()
        service.validator = ResumeValidator(service.state_manager, bound, timeout=HANG)
        return plain, await service.validate()

    plain, awaited = asyncio.run(asyncio.wait_for(look(), HANG))
    assert [problem["message"] for problem in plain["database"]["problems"]] == ["the database gave no answer in 0.3 s"]
    assert (awaited["database"], awaited["integrity_score"]) == ({"counts": {TYPE: 5}, "problems": []}, 0.5)


def test_concurrent_validations(make_service: Make, database: Database) -> None:
    service = with_database(make_service, database)
    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.append(service.validate_sync()["items"])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG)
    assert len(results) == 8
    assert all(result == results[0] for result in results)
    assert results[0][TYPE]["unique"] == 5
