"""The service as the docs describe it, line by line."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scrapy_t8 import (
    CollectionState,
    ResumePoint,
    ResumeValidator,
    RetryManager,
    StateManager,
    T8ResumeAndRetry,
    get_config,
    open_dead_letters,
    open_resume_points,
)
from tests.support.process import HANG, run, wait_until

from .conftest import SOON


def test_the_given_example(here: Path) -> None:
    class MyValidator(ResumeValidator):
        async def custom_validation(self, state: CollectionState) -> dict[str, Any]:
            return {"seen": state.task_type}

    t8 = T8ResumeAndRetry(get_config("development"))
    t8.start_service()
    point_id = t8.create_resume_point(
        task_type="LIST_COLLECTION",
        current_page=5,
        total_processed=120,
        last_cursor=None,
        last_slug=None,
        metadata={"tag": "汽车交通"},
    )
    task_id = t8.add_failed_task(
        task_type="DETAIL_COLLECTION", target="car-model-001", error_message="API请求超时", metadata={}
    )
    point = t8.get_resume_point("LIST_COLLECTION")
    assert isinstance(point, ResumePoint)
    assert (point.current_page, point.total_processed, point.metadata) == (5, 120, {"tag": "汽车交通"})
    assert t8.get_resume_point("OTHER") is None
    t8.retry_manager.register_retry_handler("CUSTOM_TASK", lambda target, metadata: True)
    t8.validator = MyValidator(t8.state_manager, t8.db_manager)
    assert t8.validate_sync()["custom"]["LIST_COLLECTION"] == {"seen": "LIST_COLLECTION"}
    task = t8.get_failed_task(task_id)
    assert task is not None
    assert (task.target, task.error_message) == ("car-model-001", "API请求超时")
    assert point_id.startswith("LIST_COLLECTION_")
    t8.stop_service()
    assert (here / "data/state/t8/state.db").exists()


@pytest.mark.parametrize(
    ("method", "names"),
    [
        (T8ResumeAndRetry.__init__, ["config", "db_manager"]),
        (T8ResumeAndRetry.start_service, []),
        (T8ResumeAndRetry.stop_service, []),
        (
            T8ResumeAndRetry.create_resume_point,
            ["task_type", "current_page", "total_processed", "last_cursor", "last_slug", "metadata"],
        ),
        (T8ResumeAndRetry.add_failed_task, ["task_type", "target", "error_message", "metadata"]),
        (T8ResumeAndRetry.get_resume_point, ["task_type"]),
        (T8ResumeAndRetry.get_metrics, []),
        (T8ResumeAndRetry.check_alerts, []),
        (RetryManager.register_retry_handler, ["task_type", "handler"]),
        (ResumeValidator.__init__, ["state_manager", "db_manager"]),
        (ResumeValidator.custom_validation, ["state"]),
        (get_config, ["env"]),
    ],
)
def test_methods_and_their_arguments(method: Callable[..., Any], names: list[str]) -> None:
    given = [name for name in inspect.signature(method).parameters if name != "self"]
    assert given[: len(names)] == names
    optional = list(inspect.signature(method).parameters.values())[len(names) + 1 :]
    assert all(more.default is not more.empty for more in optional)


def test_the_parts_are_what_they_are_called(t8: T8ResumeAndRetry) -> None:
    assert isinstance(t8.state_manager, StateManager)
    assert isinstance(t8.retry_manager, RetryManager)
    assert isinstance(t8.validator, ResumeValidator)


def test_the_newest_point_of_a_type_counts(t8: T8ResumeAndRetry) -> None:
    for page in (5, 6, 2):
        t8.create_resume_point(task_type="LIST_COLLECTION", current_page=page)
    t8.create_resume_point(task_type="DETAIL_COLLECTION", current_page=9)
    point = t8.get_resume_point("LIST_COLLECTION")
    assert point is not None
    assert point.current_page == 2


def test_state_outlives_the_process(here: Path) -> None:
    code = """
import os, signal
from scrapy_t8 import T8ResumeAndRetry, get_config
t8 = T8ResumeAndRetry(get_config("development"))
t8.create_resume_point(task_type="LIST_COLLECTION", current_page=5)
t8.add_failed_task(task_type="CUSTOM_TASK", target="a", error_message="", metadata={})
os.kill(os.getpid(), signal.SIGKILL)
"""
    run("-c", code)
    with T8ResumeAndRetry() as t8:
        point = t8.get_resume_point("LIST_COLLECTION")
        assert point is not None
        assert point.current_page == 5
        assert t8.state_manager.get_state("CUSTOM_TASK") is not None


def test_two_processes_share_one_state_file() -> None:
    code = """
import sys
from scrapy_t8 import T8ResumeAndRetry
with T8ResumeAndRetry({"retry_base": 0.01}) as t8:
    t8.add_failed_task(task_type="CUSTOM_TASK", target="of the other", error_message="", metadata={})
    print("added", flush=True)
    sys.stdin.read()
"""
    calls: list[str] = []
    other = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "added\n"
    with T8ResumeAndRetry({**SOON, "retry_check_interval": 0.05}) as t8:
        t8.retry_manager.register_retry_handler("CUSTOM_TASK", lambda target, metadata: not calls.append(target))
        wait_until(lambda: calls == ["of the other"])
        assert other.poll() is None
    other.communicate("")
    assert other.returncode == 0


def test_it_finds_tasks_that_another_process_has_added() -> None:
    calls: list[float] = []
    with T8ResumeAndRetry({**SOON, "retry_check_interval": 0.2}) as t8:
        t8.retry_manager.register_retry_handler("CUSTOM_TASK", lambda target, metadata: not calls.append(0))
        with T8ResumeAndRetry({**SOON, "enable_auto_retry": False}) as other:
            other.add_failed_task(task_type="CUSTOM_TASK", target="a", error_message="", metadata={})
        wait_until(lambda: len(calls) == 1)


def test_up_to_max_workers_run_at_once() -> None:
    lock, now, most = threading.Lock(), [0], [0]
    together = threading.Event()

    def handler(target: str, metadata: dict[str, Any]) -> bool:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
            if now[0] == 3:
                together.set()
        together.wait(HANG)
        with lock:
            now[0] -= 1
        return True

    with T8ResumeAndRetry({**SOON, "max_workers": 3}) as t8:
        t8.retry_manager.register_retry_handler("CUSTOM_TASK", handler)
        for number in range(12):
            t8.add_failed_task(task_type="CUSTOM_TASK", target=str(number), error_message="", metadata={})
        wait_until(lambda: not t8.get_metrics()["failed_tasks_waiting"])
    assert most == [3]


def test_the_state_is_in_t8_state_dir_and_readable_by_the_tools_of_a_crawl(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("T8_STATE_DIR", "elsewhere")
    with T8ResumeAndRetry() as t8:
        t8.create_resume_point(task_type="LIST_COLLECTION", current_page=5, metadata={"tag": "汽车交通"})
        task_id = t8.add_failed_task(task_type="CUSTOM_TASK", target="a", error_message="", metadata={})
    assert not (here / "data").exists()
    with open_resume_points("elsewhere") as points:
        point = points.get("LIST_COLLECTION")
        assert point is not None
        assert (point.current_page, point.metadata) == (5, {"tag": "汽车交通"})
    with open_dead_letters("elsewhere") as letters:
        assert [task.task_id for task in letters.tasks()] == [task_id]


def test_a_dict_with_the_keys_of_the_settings_is_a_config(here: Path) -> None:
    t8 = T8ResumeAndRetry({"max_workers": 7, "retry_check_interval": 5, "env": "production", "state_dir": "elsewhere"})
    assert (t8.config.max_workers, t8.config.retry_check_interval, t8.config.log_level) == (7, 5.0, "WARNING")
    with t8:
        assert (here / "elsewhere").exists()


def test_both_kinds_of_handler_do_retries_and_success_removes() -> None:
    calls: list[tuple[str, Any]] = []

    def plain(target: str, metadata: dict[str, Any]) -> bool:
        calls.append((target, metadata))
        return True

    async def on_the_loop(target: str, metadata: dict[str, Any]) -> bool:
        await asyncio.sleep(0)
        calls.append((target, metadata))
        return True

    with T8ResumeAndRetry(SOON) as t8:
        t8.retry_manager.register_retry_handler("PLAIN", plain)
        t8.retry_manager.register_retry_handler("ASYNC", on_the_loop)
        t8.add_failed_task(task_type="PLAIN", target="a", error_message="", metadata={"x": 1})
        t8.add_failed_task(task_type="ASYNC", target="b", error_message="", metadata={"x": 2})
        wait_until(lambda: not t8.get_metrics()["failed_tasks_waiting"])
    assert sorted(calls, key=str) == [("a", {"x": 1}), ("b", {"x": 2})]


def test_tasks_without_attempts_left_are_buried() -> None:
    with T8ResumeAndRetry({**SOON, "retry_kinds": {"handler": {"times": 2}}}) as t8:
        t8.retry_manager.register_retry_handler("CUSTOM_TASK", lambda target, metadata: False)
        task_id = t8.add_failed_task(task_type="CUSTOM_TASK", target="a", error_message="", metadata={})
        wait_until(lambda: bool(t8.get_metrics()["failed_tasks_dead"]))
        task = t8.get_failed_task(task_id)
        assert task is not None
        assert (task.retry_count, task.max_retries, task.next_retry_time) == (2, 2, None)


def test_it_works_inside_of_a_running_loop() -> None:
    async def collect() -> None:
        async with T8ResumeAndRetry(SOON) as t8:
            t8.retry_manager.register_retry_handler("CUSTOM_TASK", lambda target, metadata: True)
            t8.add_failed_task(task_type="CUSTOM_TASK", target="a", error_message="", metadata={})
            while t8.get_metrics()["failed_tasks_waiting"]:
                await asyncio.sleep(0.01)
            assert (await t8.validate())["valid"]

    asyncio.run(asyncio.wait_for(collect(), HANG))


def test_the_delays_double() -> None:
    now = [1_700_000_000.0]
    t8 = T8ResumeAndRetry({"retry_base": 10}, clock=lambda: now[0], chance=lambda: 1.0)
    t8.retry_manager.register_retry_handler("CUSTOM_TASK", lambda target, metadata: False)
    task_id = t8.add_failed_task(task_type="CUSTOM_TASK", target="a", error_message="", metadata={})
    delays = []
    while (task := t8.get_failed_task(task_id)) and task.next_retry_time:
        delays.append(task.next_retry_time.timestamp() - now[0])
        now[0] += delays[-1]
        t8.retry_manager.run_due()
    assert delays == [10, 20, 40]
    t8.stop_service()


def test_old_records_are_pruned(caplog: pytest.LogCaptureFixture) -> None:
    now = [1_700_000_000.0]
    limits = {"max_failed_tasks": 2, "max_resume_points": 3, "update_interval": 0, "failed_task_ttl": 50}
    t8 = T8ResumeAndRetry(limits, clock=lambda: now[0])
    manager = t8.state_manager
    for number in range(5):
        t8.create_resume_point(task_type="LIST_COLLECTION", current_page=number)
        t8.add_failed_task(task_type="WAITS", target=str(number), error_message="", metadata={})
        manager.add_failed_task("DEAD", str(number), "", max_retries=0)
        now[0] += 1
    manager.prune()
    assert [task.target for task in manager.dead_tasks()] == ["3", "4"]
    assert len(list(manager.failed_tasks())) == 5
    assert len(manager.resume_point_history("LIST_COLLECTION")) == 3
    now[0] += 10**9
    manager.prune()
    assert list(manager.dead_tasks()) == manager.resume_point_history("LIST_COLLECTION") == []
    assert len(list(manager.failed_tasks())) == 5
    assert t8.get_resume_point("LIST_COLLECTION") is not None
    assert "pruned" in caplog.text
    t8.stop_service()


def test_there_need_not_be_a_database(t8: T8ResumeAndRetry) -> None:
    assert t8.db_manager is None
    assert t8.validate_sync()["database"] == {}


def test_auto_retry_may_be_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T8_ENABLE_AUTO_RETRY", "false")
    with T8ResumeAndRetry(SOON) as t8:
        t8.retry_manager.register_retry_handler("CUSTOM_TASK", lambda target, metadata: True)
        t8.add_failed_task(task_type="CUSTOM_TASK", target="a", error_message="", metadata={})
        assert not t8.retry_manager.is_running
        assert t8.get_metrics()["failed_tasks_waiting"] == 1


def test_two_share_one_state_file() -> None:
    with T8ResumeAndRetry() as one, T8ResumeAndRetry() as other:
        one.create_resume_point(task_type="LIST_COLLECTION", current_page=2)
        point = other.get_resume_point("LIST_COLLECTION")
        assert point is not None
        assert point.current_page == 2


def test_a_database_is_asked_and_one_that_fails_is_a_finding() -> None:
    class Database:
        def __init__(self, items: int | None) -> None:
            self.items = items

        def count_items(self, task_type: str) -> int:
            if self.items is None:
                raise ConnectionError("no answer")
            return self.items

        def has_item(self, task_type: str, key: str) -> bool:
            return False

        def iter_keys(self, task_type: str) -> list[str]:
            return []

    for items, score in ((50, 0.5), (None, 0.0)):
        with T8ResumeAndRetry({}, db_manager=Database(items)) as t8:
            t8.state_manager.start_run("DETAIL_COLLECTION", total_items=100)
            assert t8.get_metrics()["data_integrity_score"] == score
            problems = t8.validate_sync()["database"]["problems"]
            assert any("no answer" in problem["message"] for problem in problems) is (items is None)
