"""What becomes of failed tasks, by a clock that stands still until it is moved."""

from __future__ import annotations

import asyncio
import logging
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scrapy_t8 import LetterFilter, T8ResumeAndRetry
from scrapy_t8.errors import ConfigError, FormatError, T8Error

from .conftest import Clock

Make = Callable[..., T8ResumeAndRetry]
TYPE = "DETAIL_COLLECTION"


def balanced(t8: T8ResumeAndRetry) -> bool:
    t8.state_manager.open()
    waiting, _ = t8.state_manager.task_counts()
    job = t8.state_manager.parts.context.store.job()
    return job is not None and job.ledger.difference(waiting) == 0


def test_backoff_doubles_until_the_task_is_given_up(make: Make, clock: Clock) -> None:
    t8 = make(retry_base=10)
    tries: list[float] = []
    t8.retry_manager.register_retry_handler(TYPE, lambda target, metadata: tries.append(clock.now) or False)
    began = clock.now
    task_id = t8.add_failed_task(TYPE, "a", "no answer")
    for _ in range(100):
        t8.retry_manager.run_due()
        clock.now += 1
    assert [when - began for when in tries] == [10, 30, 70]
    task = t8.get_failed_task(task_id)
    assert task is not None
    assert (task.next_retry_time, task.retry_count, task.max_retries) == (None, 3, 3)
    assert balanced(t8)


def test_success_removes(t8: T8ResumeAndRetry, clock: Clock) -> None:
    t8.retry_manager.register_retry_handler(TYPE, lambda target, metadata: True)
    task_id = t8.add_failed_task(TYPE, "a", "")
    assert t8.retry_manager.run_due() == 0
    clock.now += 1
    assert t8.retry_manager.run_due() == 1
    assert t8.get_failed_task(task_id) is None
    assert t8.get_metrics()["retry_success_rate"] == 1
    assert balanced(t8)


def raises(target: str, metadata: Any) -> bool:
    raise ValueError("broken\nin two lines")


def exits(target: str, metadata: Any) -> bool:
    raise SystemExit(3)


async def raises_later(target: str, metadata: Any) -> bool:
    raise ValueError("broken later")


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        (raises, "the retry handler failed: ValueError: broken in two lines"),
        (raises_later, "the retry handler failed: ValueError: broken later"),
        (exits, "the retry handler failed: SystemExit: 3"),
        (lambda target, metadata: None, "the retry handler returned None, not True"),
        (lambda target, metadata: False, "the retry handler returned False, not True"),
        (lambda: True, "the retry handler failed: TypeError"),
    ],
)
def test_a_handler_that_fails_in_any_way(t8: T8ResumeAndRetry, clock: Clock, handler: Any, error: str) -> None:
    t8.retry_manager.register_retry_handler(TYPE, handler)
    task_id = t8.add_failed_task(TYPE, "a", "")
    clock.now += 1
    assert t8.retry_manager.run_due() == 1
    task = t8.get_failed_task(task_id)
    assert task is not None
    assert task.error_message.startswith(error)
    assert task.retry_count == 1


def test_a_plain_function_may_return_a_coroutine(t8: T8ResumeAndRetry, clock: Clock) -> None:
    async def yes() -> bool:
        return True

    t8.retry_manager.register_retry_handler(TYPE, lambda target, metadata: yes())
    task_id = t8.add_failed_task(TYPE, "a", "")
    clock.now += 1
    t8.retry_manager.run_due()
    assert t8.get_failed_task(task_id) is None


def test_a_coroutine_that_hangs_is_cancelled(make: Make, clock: Clock) -> None:
    async def hangs(target: str, metadata: Any) -> bool:
        await asyncio.sleep(3600)
        return True

    t8 = make(retry_handler_timeout=0.05)
    t8.retry_manager.register_retry_handler(TYPE, hangs)
    task_id = t8.add_failed_task(TYPE, "a", "")
    for _ in range(10):
        clock.now += 10
        t8.retry_manager.run_due()
    task = t8.get_failed_task(task_id)
    assert task is not None
    assert task.error_message == "the retry handler gave no answer in 0.05 s"
    assert (task.retry_count, task.next_retry_time) == (3, None)


def test_a_thread_that_hangs_is_not_joined_by_a_second_one(make: Make, clock: Clock) -> None:
    go_on, calls = threading.Event(), []

    def hangs(target: str, metadata: Any) -> bool:
        calls.append(target)
        return go_on.wait(10)

    t8 = make(retry_handler_timeout=0.05, retry_base=1)
    t8.retry_manager.register_retry_handler(TYPE, hangs)
    task_id = t8.add_failed_task(TYPE, "a", "")
    for _ in range(10):
        clock.now += 100
        t8.retry_manager.run_due()
    assert calls == ["a"]
    task = t8.get_failed_task(task_id)
    assert task is not None
    assert task.error_message == "the retry handler is still at work on an earlier attempt"
    assert (task.retry_count, task.next_retry_time) == (3, None)
    go_on.set()


def test_a_late_success_counts(make: Make, clock: Clock) -> None:
    go_on = threading.Event()
    t8 = make(retry_handler_timeout=0.05)
    t8.retry_manager.register_retry_handler(TYPE, lambda target, metadata: go_on.wait(10))
    task_id = t8.add_failed_task(TYPE, "a", "")
    clock.now += 1
    t8.retry_manager.run_due()
    assert t8.get_failed_task(task_id) is not None
    go_on.set()
    until(lambda: t8.get_failed_task(task_id) is None)
    assert balanced(t8)


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.01)


def test_a_stop_gives_back_what_takes_too_long_and_charges_nobody(make: Make, clock: Clock) -> None:
    go_on, calls = threading.Event(), []

    def slow(target: str, metadata: Any) -> bool:
        calls.append(target)
        return not go_on.wait(10)

    async def slow_too(target: str, metadata: Any) -> bool:
        calls.append(target)
        await asyncio.sleep(3600)
        return True

    t8, other = make(), make()
    for service in (t8, other):
        service.retry_manager.register_retry_handler("SLOW", slow)
        service.retry_manager.register_retry_handler("ASYNC", slow_too)
    ids = [t8.add_failed_task(task_type, task_type, "no answer") for task_type in ("SLOW", "ASYNC")]
    clock.now += 1
    t8.start_service()
    until(lambda: len(calls) == 2)
    t8.stop_service(0.05)
    tasks = [other.get_failed_task(task_id) for task_id in ids]
    assert [(task.retry_count, task.error_message) for task in tasks if task] == [(0, "no answer")] * 2
    # The coroutine has ended; the thread has not, and as long as that is so the task is nobody else's.
    assert [task.record.target for task in other.state_manager.parts.tasks.lease(["SLOW", "ASYNC"], 5)] == ["ASYNC"]
    go_on.set()
    until(lambda: other.state_manager.parts.tasks.break_leases() == 1)
    assert [task.record.target for task in other.state_manager.parts.tasks.lease(["SLOW", "ASYNC"], 5)] == ["SLOW"]
    assert balanced(other)


def test_a_handler_that_outlives_its_service_counts_in_the_next_one(make: Make, clock: Clock) -> None:
    go_on, calls = threading.Event(), []

    def slow(target: str, metadata: Any) -> bool:
        calls.append(target)
        return go_on.wait(10)

    t8 = make(retry_check_interval=0.02)
    t8.retry_manager.register_retry_handler("SLOW", slow)
    task_id = t8.add_failed_task("SLOW", "a", "no answer")
    clock.now += 1
    t8.start_service()
    until(lambda: bool(calls))
    t8.stop_service(0)
    t8.start_service()
    time.sleep(0.1)
    task = t8.get_failed_task(task_id)
    assert task is not None
    assert (calls, task.retry_count) == (["a"], 0)
    go_on.set()
    until(lambda: t8.get_failed_task(task_id) is None)
    assert calls == ["a"]


def test_no_more_handlers_run_than_there_are_workers(make: Make, clock: Clock) -> None:
    at_once, most, lock = 0, 0, threading.Lock()

    def handler(target: str, metadata: Any) -> bool:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.01)
        with lock:
            at_once -= 1
        return True

    t8 = make(max_workers=4)
    t8.retry_manager.register_retry_handler(TYPE, handler)
    for number in range(40):
        t8.add_failed_task(TYPE, str(number), "")
    clock.now += 1
    assert t8.retry_manager.run_due() == 40
    assert most == 4


def test_a_task_due_sooner_than_the_next_look_wakes_the_service(make: Make) -> None:
    done = threading.Event()
    t8 = T8ResumeAndRetry({"state_dir": "real", "retry_check_interval": 3600, "retry_base": 0.01})
    with t8:
        t8.retry_manager.register_retry_handler(TYPE, lambda target, metadata: done.set() or True)
        t8.add_failed_task(TYPE, "a", "")
        assert done.wait(5)


def test_collected_but_not_run(make: Make, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    t8 = make(enable_auto_retry=False)
    t8.retry_manager.register_retry_handler(TYPE, raises)
    assert t8.start_service() is False
    t8.add_failed_task(TYPE, "a", "")
    clock.now += 100
    assert not t8.retry_manager.is_running
    assert t8.get_metrics()["failed_tasks_waiting"] == 1
    assert "T8_ENABLE_AUTO_RETRY is off" in caplog.text


def test_without_a_handler_a_task_waits_and_that_is_said_once(
    make: Make, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    t8 = make()
    task_id = t8.add_failed_task("NOBODY'S", "a", "")
    for _ in range(3):
        clock.now += 100
        t8.retry_manager.run_due()
    task = t8.get_failed_task(task_id)
    assert task is not None
    assert task.retry_count == 0
    assert caplog.text.count("no handler is registered for it") == 1
    t8.retry_manager.register_retry_handler("NOBODY'S", lambda target, metadata: True)
    assert t8.retry_manager.run_due() == 1


def test_the_dead_can_be_revived_or_thrown_away(make: Make, clock: Clock) -> None:
    t8 = make(retry_kinds={"handler": {"times": 0}})
    one, two = (t8.add_failed_task(TYPE, target, "no answer") for target in "ab")
    assert t8.state_manager.task_counts() == (0, 2)
    assert t8.state_manager.remove_failed_task(two)
    assert not t8.state_manager.remove_failed_task(two)
    assert t8.state_manager.revive(LetterFilter(kind="handler")) == 1
    task = t8.get_failed_task(one)
    assert task is not None
    assert task.next_retry_time is not None
    t8.retry_manager.register_retry_handler(TYPE, lambda target, metadata: True)
    assert t8.retry_manager.run_due() == 1
    assert t8.state_manager.task_counts() == (0, 0)
    assert t8.state_manager.retry_outcomes() == (1, 2)
    assert balanced(t8)


def test_limits_drop_dead_tasks_and_no_others(make: Make, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    t8 = make(max_failed_tasks=3, failed_task_ttl=100)
    for number in range(5):
        t8.state_manager.add_failed_task(TYPE, f"dead {number}", "", max_retries=0)
        t8.add_failed_task(TYPE, f"waits {number}", "")
        clock.now += 1
    t8.state_manager.prune()
    assert sorted(task.target for task in t8.state_manager.dead_tasks()) == ["dead 2", "dead 3", "dead 4"]
    clock.now += 1000
    t8.state_manager.prune()
    assert list(t8.state_manager.dead_tasks()) == []
    assert len(list(t8.state_manager.failed_tasks())) == 5
    assert caplog.text.count("Dead tasks pruned") == 2
    assert balanced(t8)


def test_a_strange_task_type_is_one_like_any_other(t8: T8ResumeAndRetry, clock: Clock) -> None:
    strange = "a/b\n'; DROP TABLE waiting; --\t\x00 汽车 🚗"
    t8.retry_manager.register_retry_handler(strange, lambda target, metadata: True)
    task_id = t8.add_failed_task(strange, "a\nb", "one\ntwo")
    task = t8.get_failed_task(task_id)
    assert task is not None
    assert (task.task_type, task.target, task.error_message) == (strange, "a\nb", "one\ntwo")
    t8.create_resume_point(strange, 3, last_slug="x\ny")
    clock.now += 1
    assert t8.retry_manager.run_due() == 1
    assert {state.task_type for state in t8.state_manager.states()} == {strange}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"metadata": {"x": {1, 2}}}, "metadata['x']: JSON has no set"),
        ({"metadata": {"x": [1, float("nan")]}}, "metadata['x'][1]: JSON has no float"),
        ({"metadata": {"x": b"bytes"}}, "metadata['x']: JSON has no bytes"),
        ({"metadata": {1: 2}}, "metadata: the keys of a JSON object are text, not 1"),
        ({"metadata": [1]}, "metadata: a JSON object is needed, not list"),
        ({"task_type": ""}, "task_type: it must not be empty"),
        ({"task_type": 3}, "task_type: text is needed, not int 3"),
        ({"task_type": "\udc80"}, "task_type: '\\udc80' has half of a character in it"),
        ({"target": None}, "target: text is needed, not NoneType"),
        ({"error_message": ValueError("x")}, "error_message: text is needed"),
        ({"max_retries": -1}, "max_retries: a whole number of at least 0"),
    ],
)
def test_what_makes_no_task_is_refused_by_name(t8: T8ResumeAndRetry, values: dict[str, Any], message: str) -> None:
    good = {"task_type": TYPE, "target": "a", "error_message": "", "metadata": {}}
    with pytest.raises(FormatError) as caught:
        t8.add_failed_task(**{**good, **values})
    assert message in str(caught.value)
    assert t8.state_manager.task_counts() == (0, 0)


def test_a_circle_in_metadata_is_refused(t8: T8ResumeAndRetry) -> None:
    circle: dict[str, Any] = {}
    circle["self"] = circle
    with pytest.raises(FormatError, match="contains itself"):
        t8.add_failed_task(TYPE, "a", "", circle)


def test_what_cannot_be_called_is_no_handler(t8: T8ResumeAndRetry) -> None:
    with pytest.raises(ConfigError, match="the retry handler of X is 'no', which cannot be called"):
        t8.retry_manager.register_retry_handler("X", "no")  # type: ignore[arg-type]


def test_large_metadata_comes_back_as_it_was(make: Make) -> None:
    metadata = {"text": "汽车" * 5000, "half": "\udc80", "n": 2**70, "f": 1.5, "none": None, "list": [True, {}]}
    for t8 in (make(enable_compression=True), make(enable_compression=False)):
        task = t8.get_failed_task(t8.add_failed_task(TYPE, "a", "", metadata))
        t8.create_resume_point(TYPE, 1, metadata=metadata)
        point = t8.get_resume_point(TYPE)
        assert task is not None
        assert point is not None
        assert task.metadata == point.metadata == metadata


def test_what_is_due_can_be_tried_from_inside_of_a_loop(t8: T8ResumeAndRetry, clock: Clock) -> None:
    async def collect() -> int:
        t8.retry_manager.register_retry_handler(TYPE, lambda target, metadata: True)
        t8.add_failed_task(TYPE, "a", "")
        clock.now += 1
        return t8.retry_manager.run_due()

    assert asyncio.run(collect()) == 1


def test_lines_go_to_standard_error_unless_the_program_logs_itself(tmp_path: Path) -> None:
    code = (
        "import logging, sys\nfrom scrapy_t8 import T8ResumeAndRetry\n"
        "with T8ResumeAndRetry({}) as t8:\n    t8.create_resume_point('A', 1)\n"
        "    logging.basicConfig(format='MINE %(message)s')\n    t8.create_resume_point('B', 1)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    lines = [line for line in done.stderr.splitlines() if "created" in line]
    assert re.fullmatch(r"[-0-9: ]{19} - T8ResumeAndRetry - INFO - Resume point A_\d+ created: .*", lines[0])
    assert re.fullmatch(r"MINE Resume point B_\d+ created: .*", lines[1])
    assert len(lines) == 2


def test_a_running_service_tries_by_itself(t8: T8ResumeAndRetry) -> None:
    with t8, pytest.raises(T8Error, match="it tries what is due by itself"):
        t8.retry_manager.run_due()


def test_a_service_can_be_started_again(t8: T8ResumeAndRetry) -> None:
    for _ in range(3):
        assert t8.start_service()
        assert t8.start_service()
        t8.stop_service()
        t8.stop_service()
    assert not t8.retry_manager.is_running


def test_the_log_at_debug(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    make(log_level="DEBUG")
    assert logging.getLogger("T8ResumeAndRetry").level == logging.DEBUG
