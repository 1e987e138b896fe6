"""Retry rules by task type, alerts while the service runs, and its log file."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from scrapy_t8 import T8ResumeAndRetry
from scrapy_t8.errors import ConfigError
from scrapy_t8.service.logs import logger
from tests.support.clock import Clock

Make = Callable[..., T8ResumeAndRetry]


def tries(service: T8ResumeAndRetry, clock: Clock, task_type: str) -> list[float]:
    """Return after how many seconds a task that never succeeds was tried."""
    found: list[float] = []
    began = clock.now
    service.retry_manager.register_retry_handler(
        task_type, lambda target, metadata: found.append(clock.now - began) or False
    )
    service.add_failed_task(task_type, "a", "")
    for _ in range(200):
        service.retry_manager.run_due()
        clock.now += 1
    return found


def test_retry_rules_differ_by_task_type(make_service: Make, clock: Clock) -> None:
    service = make_service(retry_base=10, retry_types={"IMAGE": {"times": 2, "base": 30}, "API": {"factor": 1}})
    assert tries(service, clock, "OTHER") == [10, 30, 70]
    assert tries(service, clock, "IMAGE") == [30, 90]
    assert tries(service, clock, "API") == [10, 20, 30]


def test_delays_never_shrink(here: Path, clock: Clock) -> None:
    """With the defaults the shortest delay of a retry is the longest delay of the retry before."""
    delays: list[list[float]] = []
    for chance in (0.0, 1.0):
        config = {"state_dir": str(here / str(chance)), "retry_base": 10}
        service = T8ResumeAndRetry(config, clock=clock, chance=lambda chance=chance: chance)
        found = [0.0, *tries(service, clock, "A")]
        delays.append([after - before for before, after in pairwise(found)])
        service.stop_service(0)
    assert delays == [[5, 10, 20], [10, 20, 40]]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"IMAGE": 3}, "T8_RETRY_TYPES['IMAGE'] is 3, but must be a dict"),
        ({"IMAGE": {"often": 3}}, "T8_RETRY_TYPES['IMAGE']: there is no 'often'"),
        ({"IMAGE": {"times": -1}}, "T8_RETRY_TYPES['IMAGE']: times is -1"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(rules: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        T8ResumeAndRetry({"retry_types": rules})


def test_an_alert_is_logged_when_it_begins_and_when_it_is_over(
    make_service: Make, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    service = make_service(enable_metrics=True, retry_base=0, enable_integrity_check=False)

    def look() -> list[str]:
        caplog.clear()
        with caplog.at_level(logging.INFO, logger.name):
            service.retry_manager.run_due()
        messages = (record.getMessage() for record in caplog.records)
        return [message for message in messages if message.startswith(("Alert", "All clear"))]

    task_id = service.add_failed_task("LIST", "a", "")
    (line,) = look()
    assert line == "Alert: 100 % of all that is known has failed: over 10 % (T8_ALERT_THRESHOLDS['failed_task_ratio'])"
    assert look() == []
    assert service.state_manager.remove_failed_task(task_id)
    service.create_resume_point("LIST", 1, 10)
    assert look() == [f"All clear, no longer: {line.removeprefix('Alert: ')}"]
    assert look() == []


def test_people_are_notified_of_both(make_service: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[str, str]] = []

    class Fake:
        def __init__(self, urls: list[str], timeout: float) -> None:
            self.urls = urls

        def __bool__(self) -> bool:
            return bool(self.urls)

        async def send(self, title: str, body: str) -> list[str]:
            sent.append((title, body))
            return []

    monkeypatch.setattr("scrapy_t8.service.facade.Notifier", Fake)
    monkeypatch.setattr("scrapy_t8.service.facade.in_loop_thread", run)
    service = make_service(notify_urls=["json://localhost"], enable_integrity_check=False)
    task_id = service.add_failed_task("LIST", "a", "")
    service.retry_manager.run_due()
    service.retry_manager.run_due()
    assert [title for title, _ in sent] == ["data/state: 1 alerts"]
    assert "T8_ALERT_THRESHOLDS" in sent[0][1]
    service.state_manager.remove_failed_task(task_id)
    service.retry_manager.run_due()
    assert [title for title, _ in sent] == ["data/state: 1 alerts", "data/state: all clear"]


def run(work: Callable[[], Any]) -> None:
    """Run a coroutine that waits for nothing."""
    with pytest.raises(StopIteration):
        work().send(None)


@pytest.fixture
def _handlers() -> Iterator[None]:
    before = list(logger.handlers)
    yield
    for handler in set(logger.handlers) - set(before):
        logger.removeHandler(handler)
        handler.close()


@pytest.mark.usefixtures("_handlers")
def test_the_log_goes_to_a_file(here: Path, make_service: Make) -> None:
    for _ in range(2):  # a second service does not write each line twice
        make_service(log_file="service.log").add_failed_task("LIST", "汽车", "no answer")
    lines = (here / "service.log").read_text(encoding="utf-8").splitlines()
    form = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d - T8ResumeAndRetry - INFO - Failed task LIST_\w+ added: 汽车: no answer"
    assert len([line for line in lines if re.fullmatch(form, line)]) == 1
    with pytest.raises(ConfigError, match="T8_LOG_FILE is 'no/such/place', which cannot be written"):
        make_service(log_file="no/such/place")
