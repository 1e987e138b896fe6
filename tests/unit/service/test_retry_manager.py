"""What becomes of failed tasks, by a clock that stands still until it is moved."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scrapy_t8 import LetterFilter, T8ResumeAndRetry
from scrapy_t8.errors import ConfigError, FormatError, T8Error
from tests.support.clock import Clock
from tests.support.process import HANG, run, wait_until

Make = Callable[..., T8ResumeAndRetry]
TYPE = "DETAIL_COLLECTION"


def balanced(service: T8ResumeAndRetry) -> bool:
    service.state_manager.open()
    waiting, _ = service.state_manager.task_counts()
    job = service.state_manager.parts.context.store.job()
    return job is not None and job.ledger.difference(waiting) == 0


def test_backoff_doubles_until_the_task_is_given_up(make_service: Make, clock: Clock) -> None:
    service = make_service(retry_base=10)
    tries: list[float] = []
    service.retry_manager.register_retry_handler(TYPE, lambda target, metadata: tries.append(clock.now) or False)
    began = clock.now
    task_id = service.add_failed_task(TYPE, "a", "no answer")
    for _ in range(100):
        service.retry_manager.run_due()
        clock.now += 1
    assert [when - began for when in tries] == [10, 30, 70]
    task = service.get_failed_task(task_id)
    assert task is not None
    assert (task.next_retry_time, task.retry_count, task.max_retries) == (None, 3, 3)
    assert balanced(service)


def test_success_removes(service: T8ResumeAndRetry, clock: Clock) -> None:
    service.retry_manager.register_retry_handler(TYPE, lambda target, metadata: True)
    task_id = service.add_failed_task(TYPE, "a", "")
    assert service.retry_manager.run_due() == 0
    clock.now += 1
    assert service.retry_manager.run_due() == 1
    assert service.get_failed_task(task_id) is None
    assert service.get_metrics()["retry_success_rate"] == 1
    assert balanced(service)


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
def test_a_handler_that_fails_in_any_way(service: T8ResumeAndRetry, clock: Clock, handler: Any, error: str) -> None:
    service.retry_manager.register_retry_handler(TYPE, handler)
    task_id = service.add_failed_task(TYPE, "a", "")
    clock.now += 1
    assert service.retry_manager.run_due() == 1
    task = service.get_failed_task(task_id)
    assert task is not None
    assert task.error_message.startswith(error)
    assert task.retry_count == 1


def test_a_plain_function_may_return_a_coroutine(service: T8ResumeAndRetry, clock: Clock) -> None:
    async def yes() -> bool:
        return True

    service.retry_manager.register_retry_handler(TYPE, lambda target, metadata: yes())
    task_id = service.add_failed_task(TYPE, "a", "")
    clock.now += 1
    service.retry_manager.run_due()
    assert service.get_failed_task(task_id) is None


def test_a_coroutine_that_hangs_is_cancelled(make_service: Make, clock: Clock) -> None:
    async def hangs(target: str, metadata: Any) -> bool:
        await asyncio.sleep(3600)
        return True

    service = make_service(retry_handler_timeout=0.05)
    service.retry_manager.register_retry_handler(TYPE, hangs)
    task_id = service.add_failed_task(TYPE, "a", "")
    for _ in range(10):
        clock.now += 10
        service.retry_manager.run_due()
    task = service.get_failed_task(task_id)
    assert task is not None
    assert task.error_message == "the retry handler gave no answer in 0.05 s"
    assert (task.retry_count, task.next_retry_time) == (3, None)


def test_while_a_thread_hangs_its_task_gets_no_second_one(make_service: Make, clock: Clock) -> None:
    go_on, calls = threading.Event(), []

    def hangs(target: str, metadata: Any) -> bool:
        calls.append(target)
        return go_on.wait(HANG)

    service = make_service(retry_handler_timeout=0.05, retry_base=1)
    service.retry_manager.register_retry_handler(TYPE, hangs)
    task_id = service.add_failed_task(TYPE, "a", "")
    for _ in range(10):
        clock.now += 100
        service.retry_manager.run_due()
    wait_until(lambda: bool(calls))  # the thread may begin late
    assert calls == ["a"]
    task = service.get_failed_task(task_id)
    assert task is not None
    assert task.error_message == "the retry handler is still at work on an earlier attempt"
    assert (task.retry_count, task.next_retry_time) == (3, None)
    go_on.set()


def test_a_late_success_counts(make_service: Make, clock: Clock) -> None:
    go_on = threading.Event()
    service = make_service(retry_handler_timeout=0.05)
    service.retry_manager.register_retry_handler(TYPE, lambda target, metadata: go_on.wait(HANG))
    task_id = service.add_failed_task(TYPE, "a", "")
    clock.now += 1
    service.retry_manager.run_due()
    assert service.get_failed_task(task_id) is not None
    go_on.set()
    wait_until(lambda: service.get_failed_task(task_id) is None)
    assert balanced(service)


def test_a_stop_releases_tasks_that_take_too_long_without_an_attempt(make_service: Make, clock: Clock) -> None:
    go_on, calls = threading.Event(), []

    def slow(target: str, metadata: Any) -> bool:
        calls.append(target)
        return not go_on.wait(HANG)

    async def slow_too(target: str, metadata: Any) -> bool:
        calls.append(target)
        await asyncio.sleep(3600)
        return True

    service, other = make_service(), make_service()
    for each in (service, other):
        each.retry_manager.register_retry_handler("SLOW", slow)
        each.retry_manager.register_retry_handler("ASYNC", slow_too)
    ids = [service.add_failed_task(task_type, task_type, "no answer") for task_type in ("SLOW", "ASYNC")]
    clock.now += 1
    service.start_service()
    wait_until(lambda: len(calls) == 2)
    service.stop_service(0.05)
    tasks = [other.get_failed_task(task_id) for task_id in ids]
    assert [(task.retry_count, task.error_message) for task in tasks if task] == [(0, "no answer")] * 2
    # The coroutine has ended; the thread has not. Until it ends, nothing else may take the task.
    assert [task.record.target for task in other.state_manager.parts.tasks.lease(["SLOW", "ASYNC"], 5)] == ["ASYNC"]
    go_on.set()
    wait_until(lambda: other.state_manager.parts.tasks.break_leases() == 1)
    assert [task.record.target for task in other.state_manager.parts.tasks.lease(["SLOW", "ASYNC"], 5)] == ["SLOW"]
    assert balanced(other)


def test_a_handler_that_outlives_its_service_counts_in_the_next_one(make_service: Make, clock: Clock) -> None:
    go_on, calls = threading.Event(), []

    def slow(target: str, metadata: Any) -> bool:
        calls.append(target)
        return go_on.wait(HANG)

    service = make_service(retry_check_interval=0.02)
    service.retry_manager.register_retry_handler("SLOW", slow)
    task_id = service.add_failed_task("SLOW", "a", "no answer")
    clock.now += 1
    service.start_service()
    wait_until(lambda: bool(calls))
    service.stop_service(0)
    service.retry_manager.register_retry_handler("NEXT", lambda target, metadata: True)
    next_id = service.add_failed_task("NEXT", "b", "no answer")
    clock.now += 1
    service.start_service()
    # When the service has retried this one, it has passed over the other.
    wait_until(lambda: service.get_failed_task(next_id) is None)
    task = service.get_failed_task(task_id)
    assert task is not None
    assert (calls, task.retry_count) == (["a"], 0)
    go_on.set()
    wait_until(lambda: service.get_failed_task(task_id) is None)
    assert calls == ["a"]


def test_handlers_run_at_most_max_workers_at_once(make_service: Make, clock: Clock) -> None:
    at_once, most, lock, together = 0, 0, threading.Lock(), threading.Event()

    def handler(target: str, metadata: Any) -> bool:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
            if most == 4:
                together.set()
        together.wait(HANG)
        with lock:
            at_once -= 1
        return True

    service = make_service(max_workers=4)
    service.retry_manager.register_retry_handler(TYPE, handler)
    for number in range(40):
        service.add_failed_task(TYPE, str(number), "")
    clock.now += 1
    assert service.retry_manager.run_due() == 40
    assert most == 4


def test_a_task_due_sooner_than_the_next_look_wakes_the_service(make_service: Make) -> None:
    done = threading.Event()
    service = T8ResumeAndRetry({"state_dir": "real", "retry_check_interval": 3600, "retry_base": 0.01})
    with service:
        service.retry_manager.register_retry_handler(TYPE, lambda target, metadata: done.set() or True)
        service.add_failed_task(TYPE, "a", "")
        assert done.wait(HANG), "hang guard"


def test_without_auto_retry_tasks_are_collected_only(
    make_service: Make, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    service = make_service(enable_auto_retry=False)
    service.retry_manager.register_retry_handler(TYPE, raises)
    assert service.start_service() is False
    service.add_failed_task(TYPE, "a", "")
    clock.now += 100
    assert not service.retry_manager.is_running
    assert service.get_metrics()["failed_tasks_waiting"] == 1
    assert "T8_ENABLE_AUTO_RETRY is off" in caplog.text


def test_a_task_without_a_handler_waits_and_is_reported_once(
    make_service: Make, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    service = make_service()
    task_id = service.add_failed_task("NOBODY'S", "a", "")
    for _ in range(3):
        clock.now += 100
        service.retry_manager.run_due()
    task = service.get_failed_task(task_id)
    assert task is not None
    assert task.retry_count == 0
    assert caplog.text.count("no handler is registered for it") == 1
    service.retry_manager.register_retry_handler("NOBODY'S", lambda target, metadata: True)
    assert service.retry_manager.run_due() == 1


def test_dead_tasks_can_be_revived_or_discarded(make_service: Make, clock: Clock) -> None:
    service = make_service(retry_kinds={"handler": {"times": 0}})
    one, two = (service.add_failed_task(TYPE, target, "no answer") for target in "ab")
    assert service.state_manager.task_counts() == (0, 2)
    assert service.state_manager.remove_failed_task(two)
    assert not service.state_manager.remove_failed_task(two)
    assert service.state_manager.revive(LetterFilter(kind="handler")) == 1
    task = service.get_failed_task(one)
    assert task is not None
    assert task.next_retry_time is not None
    service.retry_manager.register_retry_handler(TYPE, lambda target, metadata: True)
    assert service.retry_manager.run_due() == 1
    assert service.state_manager.task_counts() == (0, 0)
    assert service.state_manager.retry_outcomes() == (1, 1)  # the revived task was not given up after all
    assert balanced(service)


def test_limits_drop_dead_tasks_and_no_others(
    make_service: Make, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    service = make_service(max_failed_tasks=3, failed_task_ttl=100)
    for number in range(5):
        service.state_manager.add_failed_task(TYPE, f"dead {number}", "", max_retries=0)
        service.add_failed_task(TYPE, f"waits {number}", "")
        clock.now += 1
    service.state_manager.prune()
    assert sorted(task.target for task in service.state_manager.dead_tasks()) == ["dead 2", "dead 3", "dead 4"]
    clock.now += 1000
    service.state_manager.prune()
    assert list(service.state_manager.dead_tasks()) == []
    assert len(list(service.state_manager.failed_tasks())) == 5
    assert caplog.text.count("Dead tasks pruned") == 2
    assert balanced(service)


def test_a_strange_task_type_works(service: T8ResumeAndRetry, clock: Clock) -> None:
    strange = "a/b\n'; DROP TABLE waiting; --\t\x00 汽车 🚗"
    service.retry_manager.register_retry_handler(strange, lambda target, metadata: True)
    task_id = service.add_failed_task(strange, "a\nb", "one\ntwo")
    task = service.get_failed_task(task_id)
    assert task is not None
    assert (task.task_type, task.target, task.error_message) == (strange, "a\nb", "one\ntwo")
    service.create_resume_point(strange, 3, last_slug="x\ny")
    clock.now += 1
    assert service.retry_manager.run_due() == 1
    assert {state.task_type for state in service.state_manager.states()} == {strange}


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
def test_an_invalid_task_is_refused_by_its_field(
    service: T8ResumeAndRetry, values: dict[str, Any], message: str
) -> None:
    good = {"task_type": TYPE, "target": "a", "error_message": "", "metadata": {}}
    with pytest.raises(FormatError) as caught:
        service.add_failed_task(**{**good, **values})
    assert message in str(caught.value)
    assert service.state_manager.task_counts() == (0, 0)


def test_a_circle_in_metadata_is_refused(service: T8ResumeAndRetry) -> None:
    circle: dict[str, Any] = {}
    circle["self"] = circle
    with pytest.raises(FormatError, match="contains itself"):
        service.add_failed_task(TYPE, "a", "", circle)


def test_a_handler_has_to_be_callable(service: T8ResumeAndRetry) -> None:
    with pytest.raises(ConfigError, match="the retry handler of X is 'no', which cannot be called"):
        service.retry_manager.register_retry_handler("X", "no")  # type: ignore[arg-type]


def test_large_metadata_comes_back_as_it_was(make_service: Make) -> None:
    metadata = {"text": "汽车" * 5000, "half": "\udc80", "n": 2**70, "f": 1.5, "none": None, "list": [True, {}]}
    for service in (make_service(enable_compression=True), make_service(enable_compression=False)):
        task = service.get_failed_task(service.add_failed_task(TYPE, "a", "", metadata))
        service.create_resume_point(TYPE, 1, metadata=metadata)
        point = service.get_resume_point(TYPE)
        assert task is not None
        assert point is not None
        assert task.metadata == point.metadata == metadata


def test_what_is_due_can_be_tried_from_inside_of_a_loop(service: T8ResumeAndRetry, clock: Clock) -> None:
    async def collect() -> int:
        service.retry_manager.register_retry_handler(TYPE, lambda target, metadata: True)
        service.add_failed_task(TYPE, "a", "")
        clock.now += 1
        return service.retry_manager.run_due()

    assert asyncio.run(collect()) == 1


def test_lines_go_to_standard_error_unless_the_program_logs_itself(here: Path) -> None:
    code = (
        "import logging, sys\nfrom scrapy_t8 import T8ResumeAndRetry\n"
        "with T8ResumeAndRetry({}) as service:\n    service.create_resume_point('A', 1)\n"
        "    logging.basicConfig(format='MINE %(message)s')\n    service.create_resume_point('B', 1)\n"
    )
    done = run("-c", code, check=True)
    lines = [line for line in done.stderr.splitlines() if "created" in line]
    assert re.fullmatch(r"[-0-9: ]{19} - T8ResumeAndRetry - INFO - Resume point A_\d+ created: .*", lines[0])
    assert re.fullmatch(r"MINE Resume point B_\d+ created: .*", lines[1])
    assert len(lines) == 2


def test_a_running_service_tries_by_itself(service: T8ResumeAndRetry) -> None:
    with service, pytest.raises(T8Error, match="it tries due tasks by itself"):
        service.retry_manager.run_due()


def test_a_service_can_be_started_again(service: T8ResumeAndRetry) -> None:
    for _ in range(3):
        assert service.start_service()
        assert service.start_service()
        service.stop_service()
        service.stop_service()
    assert not service.retry_manager.is_running


def test_the_log_at_debug(make_service: Make, caplog: pytest.LogCaptureFixture) -> None:
    make_service(log_level="DEBUG")
    assert logging.getLogger("T8ResumeAndRetry").level == logging.DEBUG
