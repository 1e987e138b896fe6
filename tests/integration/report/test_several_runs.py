"""Figures of a report that several runs have brought together: the same as if there had been one."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from scrapy_t8 import read_report
from scrapy_t8.errors import JobError

from .crawls import begin, crawl

pytestmark = pytest.mark.slow
FIFO = "scrapy.squeues.FifoMemoryQueue"
ONE_BY_ONE = {"CONCURRENT_REQUESTS": 1, "SCHEDULER_MEMORY_QUEUE": FIFO, "SCHEDULER_START_MEMORY_QUEUE": FIFO}
NO_RETRY = {"T8_RETRY_KINDS": {"ban": {"times": 0}}}
SHARED = (
    "retry_outcomes",
    "retries",
    "coverage",
    "validation",
    "callbacks",
    "hosts",
    "ledger",
    "dropped",
    "duplicates",
)


def test_what_was_counted_before_a_kill_counts(tmp_path: Path) -> None:
    pages: list[Any] = [
        [{"id": 1, "value": 1}, {"id": 2}, {"id": 3, "do": "drop"}],
        [{"id": 4, "do": "again"}],
        [{"id": 1, "value": 2}, {"id": 5, "value": 1, "do": "die"}],
        [{"id": 6, "value": 1}, {"id": 2}],
    ]
    settings = {"T8_ITEM_KEY": "id", "T8_REQUIRED_FIELDS": ["value"], **NO_RETRY, **ONE_BY_ONE}
    (tmp_path / "calm").mkdir()
    (tmp_path / "killed").mkdir()
    (tmp_path / "calm/died").touch()
    calm = crawl(tmp_path / "calm", pages, **settings)
    assert crawl(tmp_path / "killed", pages, **settings).status == -signal.SIGKILL
    killed = crawl(tmp_path / "killed", pages, **settings)
    assert [run["end"] for run in killed.report["runs"]] == ["killed", "finished"]
    assert killed.report["retry_outcomes"] == {"succeeded": 0, "buried": 1}
    for name in SHARED:
        assert killed.report[name] == calm.report[name], name
    alarms = [{alert["name"] for alert in run.report["alerts"]} for run in (calm, killed)]
    assert alarms[1] == alarms[0] | {"run_died"}


def test_retries_are_counted_over_all_runs(tmp_path: Path) -> None:
    """A retry that succeeded in the first run, another in the second."""
    first = {"T8_RETRY_KINDS": {"ban": {"times": 3, "base": 0.01}}, "T8_ITEM_KEY": "id", **ONE_BY_ONE}
    pages = [[{"id": number, "do": "again"}] for number in range(6)]
    process = begin(tmp_path, pages, DOWNLOAD_DELAY=0.15, **first)
    while not _exported(tmp_path, 2):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    run = crawl(tmp_path, pages, **first)
    assert [run["end"] for run in run.report["runs"]] == ["stopped", "finished"]
    assert run.report["retry_outcomes"] == {"succeeded": 6, "buried": 0}
    assert run.report["retries"] == {"ban": 6}
    assert run.report["verdict"] == "complete"


@pytest.mark.parametrize(("before", "after"), [("first", "last"), ("last", "first")])
def test_another_policy_in_the_middle_of_a_job_loses_nothing(tmp_path: Path, before: str, after: str) -> None:
    pages: list[Any] = [[{"id": 1}], [{"id": 2, "do": "die"}], [{"id": 3}]]
    settings = {"T8_ITEM_KEY": "id", **ONE_BY_ONE}
    assert crawl(tmp_path, pages, T8_DEDUP_POLICY=before, **settings).status == -signal.SIGKILL
    run = crawl(tmp_path, pages, T8_DEDUP_POLICY=after, **settings)
    # Or the crawl is refused, and goes on with the policy that it had.
    if run.status:
        assert "T8_DEDUP_POLICY" in run.log
        run = crawl(tmp_path, pages, T8_DEDUP_POLICY=before, **settings)
    assert sorted(item["id"] for item in run.items) == [1, 2, 3]
    assert run.counts == {"scraped": 3, "exported": 3}


def _exported(work: Path, count: int) -> bool:
    try:
        return bool(read_report(work / "job")["ledger"]["items"]["exported"] >= count)
    except JobError:
        return False  # not yet begun
