"""One line for all that has failed since the last line, and none if nothing has."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from scrapy_t8.components.extensions.failure_summary import FailureSummary


class Crawl:
    """A crawl whose statistics and waiting requests a test sets."""

    def __init__(self) -> None:
        self.stats: dict[str, Any] = {"downloader/request_count": 100}
        self.waiting: list[tuple[str, int]] = []
        crawler: Any = SimpleNamespace(stats=SimpleNamespace(get_stats=lambda: self.stats))
        store = SimpleNamespace(next_due=lambda: 0.0, waiting_by_slot=lambda limit: self.waiting[:limit])
        job: Any = SimpleNamespace(works=True, store=store, guard=lambda what: nullcontext())
        job.retries = SimpleNamespace(timer=self)
        self.job = job
        self.summary = FailureSummary(crawler, job, 60.0)

    def __len__(self) -> int:
        return sum(count for _, count in self.waiting)

    def fail(self, kind: str, *, times: int, what: str = "count") -> None:
        for name in (f"t8/retry/{what}", f"t8/retry/{what}/{kind}"):
            self.stats[name] = self.stats.get(name, 0) + times


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Any:
    """Return a function that returns the lines since its last call."""

    def since() -> list[str]:
        lines = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return lines

    caplog.set_level("INFO", "scrapy_t8")
    return since


def test_nothing_fails(logged: Any) -> None:
    Crawl().summary.log()
    assert logged() == []


def test_what_fails_is_one_line(logged: Any) -> None:
    crawl = Crawl()
    crawl.fail("network", times=3000)
    crawl.fail("host", times=7)
    crawl.fail("host", times=1, what="buried")
    crawl.waiting = [(f"{number}.example", 9 - number) for number in range(7)]
    crawl.summary.log()
    (line,) = logged()
    assert line.startswith("3,008 attempts have failed in the last 60 s (3,000 network, 8 host); 42 requests wait for")
    assert line.endswith("0.example (9), 1.example (8), 2.example (7), 3.example (6), 4.example (5)")
    assert "the first until 1970-01-01" in line


def test_only_what_is_new_counts(logged: Any) -> None:
    crawl = Crawl()
    crawl.fail("network", times=3)
    crawl.summary.log()
    assert len(logged()) == 1
    crawl.summary.log()
    assert logged() == []
    crawl.fail("network", times=1)
    crawl.summary.log()
    assert logged() == ["1 attempt has failed in the last 60 s (1 network); no request waits for a retry"]


def test_a_run_that_an_error_has_ended_logs_nothing(logged: Any) -> None:
    crawl = Crawl()
    crawl.fail("network", times=3)
    crawl.job.works = False
    crawl.summary.log()
    assert logged() == []
