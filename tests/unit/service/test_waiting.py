"""The end of a collector: wait for the retries, or say what is left to the next service."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from scrapy_t8 import T8ResumeAndRetry
from scrapy_t8.errors import T8Error
from tests.support.clock import Clock

Make = Callable[..., T8ResumeAndRetry]
TYPE = "DETAIL_COLLECTION"


def test_the_end_waits_until_all_tasks_have_left(make_service: Make, clock: Clock) -> None:
    done: list[str] = []
    with make_service() as service:
        service.retry_manager.register_retry_handler(TYPE, lambda target, metadata: done.append(target) or True)
        for target in ("a", "b", "c"):
            service.add_failed_task(TYPE, target, "no answer")
        service.add_failed_task("IMAGE_DOWNLOAD", "d", "no answer")  # nobody retries it, so nobody waits for it
        clock.now += 10
        service.retry_manager.wake()
        assert service.wait_for_retries()
    assert sorted(done) == ["a", "b", "c"]


def test_a_wait_has_an_end(make_service: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with make_service(retry_base=600) as service:
        service.retry_manager.register_retry_handler(TYPE, lambda target, metadata: True)
        service.add_failed_task(TYPE, "a", "no answer")
        assert not service.wait_for_retries(0)
    assert "1 task waits for a retry. Tasks are tried only while a service runs" in caplog.text


def test_without_a_service_nobody_retries(make_service: Make) -> None:
    service = make_service()
    with pytest.raises(T8Error, match=r"start_service\(\) starts it"):
        service.wait_for_retries(0)
