"""What the service does where the machine starts no more threads, or has no more files."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from scrapy_t8 import T8ResumeAndRetry
from scrapy_t8.errors import T8Error
from tests.support.clock import Clock
from tests.support.process import HANG, wait_until

Make = Callable[..., T8ResumeAndRetry]
TYPE = "DETAIL_COLLECTION"


class Machine:
    """Starts at most *spare* threads at once whose names begin with *prefix*."""

    def __init__(self) -> None:
        self.spare, self.prefix = 1000, "t8-"

    def may_start(self) -> bool:
        return sum(thread.name.startswith(self.prefix) for thread in threading.enumerate()) < self.spare


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    machine, start = Machine(), threading.Thread.start

    def limited(thread: threading.Thread) -> None:
        if thread.name.startswith(machine.prefix) and not machine.may_start():
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    yield machine
    machine.spare = 1000


def test_fewer_handlers_run_and_nobody_is_charged(
    make_service: Make, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    go_on, lock = threading.Event(), threading.Lock()
    running: set[str] = set()
    most: list[int] = []

    def handler(target: str, metadata: Any) -> bool:
        with lock:
            running.add(target)
            most.append(len(running))
        go_on.wait(HANG)
        with lock:
            running.discard(target)
        return True

    service = make_service(max_workers=10, retry_base=0)
    service.retry_manager.register_retry_handler(TYPE, handler)
    ids = [service.add_failed_task(TYPE, str(number), "") for number in range(12)]
    machine.spare, machine.prefix = 3, "t8-retry-handler"
    assert service.start_service()
    wait_until(lambda: "allows no more threads" in caplog.text)
    tasks = [task for task in map(service.get_failed_task, ids) if task is not None]
    assert len(tasks) == 12
    assert {task.retry_count for task in tasks} == {0}
    go_on.set()
    wait_until(lambda: not any(map(service.get_failed_task, ids)))
    assert max(most) == 3
    (line,) = [record.getMessage() for record in caplog.records if "threads" in record.getMessage()]
    assert "up to 3 at once, not 10 (T8_MAX_WORKERS)" in line
    assert "ulimit -u" in line


def test_no_thread_for_any_handler(make_service: Make, machine: Machine, clock: Clock) -> None:
    service = make_service(retry_base=0)
    calls: list[str] = []
    service.retry_manager.register_retry_handler(TYPE, lambda target, metadata: calls.append(target) or True)
    task_id = service.add_failed_task(TYPE, "a", "")
    machine.spare, machine.prefix = 0, "t8-retry-handler"
    service.retry_manager.run_due()
    task = service.get_failed_task(task_id)
    assert task is not None
    assert (task.retry_count, calls) == (0, [])
    machine.spare = 1
    service.retry_manager.run_due()
    assert service.get_failed_task(task_id) is None


def test_a_service_that_cannot_start_says_so(make_service: Make, machine: Machine) -> None:
    service = make_service()
    machine.spare = 0
    with pytest.raises(T8Error, match=r"cannot start: can't start new thread.*ulimit -u"):
        service.start_service()
    assert not service.retry_manager.is_running
    machine.spare = 1000
    assert service.start_service()


def test_a_service_whose_thread_dies_at_once_says_so(make_service: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise OSError(24, "Too many open files")

    service = make_service()
    with monkeypatch.context() as patched:
        patched.setattr(asyncio, "new_event_loop", fails)
        patched.setattr(asyncio.events, "new_event_loop", fails)
        with pytest.raises(T8Error, match=r"cannot start: .*Too many open files.*ulimit -n"):
            service.start_service()
    assert service.start_service()


def test_the_store_is_used_without_a_thread_of_its_own(make_service: Make, machine: Machine) -> None:
    service = make_service(retry_base=0)
    service.retry_manager.register_retry_handler(TYPE, lambda target, metadata: True)
    machine.spare, machine.prefix = 0, "t8-retry-store"
    task_id = service.add_failed_task(TYPE, "a", "")
    assert service.start_service()
    wait_until(lambda: service.get_failed_task(task_id) is None)


def test_an_async_program_starts_without_more_threads_than_the_service_needs(
    make_service: Make, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    machine.spare, machine.prefix = 0, "t8-call"
    service = make_service()

    async def main() -> bool:
        async with service:
            return service.retry_manager.is_running

    with caplog.at_level(logging.ERROR):
        assert asyncio.run(main())
    assert not caplog.records
