"""What a crawl that runs says of hosts that are down and of failures."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from scrapy.signalmanager import SignalManager

from scrapy_t8.components.extensions.running_alerts import RunningAlerts
from scrapy_t8.components.signals import t8_alert
from scrapy_t8.config.settings import Config
from scrapy_t8.core.retry.breaker import Health
from scrapy_t8.model.job import Ledger


class Breaker:
    def __init__(self) -> None:
        self.down: dict[str, float] = {}

    def hosts(self) -> dict[str, Health]:
        return {host: Health(since=since) for host, since in self.down.items()}

    def is_open(self, host: str, now: float) -> bool:
        return host in self.down


class Running:
    """A crawl that runs, as its alerts see it."""

    def __init__(self, **config: Any) -> None:
        self.now, self.ledger, self.breaker = 10_000.0, Ledger(), Breaker()
        self.waiting: list[int] = []
        self.sent: list[dict[str, Any]] = []
        stats = SimpleNamespace(get_value=lambda name, default: default)
        crawler: Any = SimpleNamespace(signals=SignalManager(), stats=stats, spider=None)
        crawler.signals.connect(self.receive, t8_alert)
        job: Any = SimpleNamespace(
            config=Config(**config),
            record=SimpleNamespace(ledger=self.ledger, spider="cars"),
            frontier=SimpleNamespace(waiting=self.waiting),
            retries=SimpleNamespace(breaker=self.breaker),
            clock=lambda: self.now,
        )
        self.alerts = RunningAlerts(crawler, job, None)

    def receive(self, alert: dict[str, Any], spider: Any) -> None:
        self.sent.append(alert)


def test_each_incident_once_and_an_all_clear(caplog: pytest.LogCaptureFixture) -> None:
    running = Running(alert_host_down=60)
    look = running.alerts._look

    def lines() -> list[str]:
        caplog.clear()
        with caplog.at_level(logging.INFO, "scrapy_t8"):
            look()
        return [f"{record.levelname} {record.getMessage()}" for record in caplog.records]

    assert lines() == []
    running.breaker.down = {"example.com": running.now - 61}
    running.ledger.done = 30
    assert lines() == [
        "WARNING Alert: example.com has been down for 61 s: longer than 60 s (T8_ALERT_HOST_DOWN)",
    ]
    running.ledger.dead = 10
    (line,) = lines()
    assert line.startswith("WARNING Alert: 25 % of 40 requests so far have failed: over 10 %")
    assert lines() == []
    running.breaker.down.clear()
    (line,) = lines()
    assert line.startswith("INFO All clear, no longer: example.com has been down")
    assert [(alert["name"], alert["running"]) for alert in running.sent] == [
        ("host_down", True),
        ("failed_task_ratio", True),
    ]


def test_a_bug_in_the_look_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    running = Running()
    running.ledger.dead = None  # type: ignore[assignment]
    running.alerts._look()
    assert "a bug in scrapy_t8" in caplog.text
