"""A report over several runs has the numbers of a single run."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.items.crawls import FIFO, crawl, start
from tests.support.ledger import committed

pytestmark = pytest.mark.slow
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


def test_counts_of_a_killed_run_stay(tmp_path: Path) -> None:
    pages: list[Any] = [
        [{"id": 1, "value": 1}, {"id": 2}, {"id": 3, "do": "drop"}],
        [{"id": 4, "do": "again"}],
        [{"id": 1, "value": 2}, {"id": 5, "value": 1, "do": "die"}],
        [{"id": 6, "value": 1}, {"id": 2}],
    ]
    settings = {"T8_ITEM_KEY": "id", "T8_REQUIRED_FIELDS": ["value"], **NO_RETRY, **FIFO}
    (tmp_path / "calm").mkdir()
    (tmp_path / "killed").mkdir()
    (tmp_path / "calm/died").touch()
    calm = crawl(tmp_path / "calm", pages, **settings)
    assert crawl(tmp_path / "killed", pages, **settings).code == -signal.SIGKILL
    killed = crawl(tmp_path / "killed", pages, **settings)
    assert [run["end"] for run in killed.report["runs"]] == ["killed", "finished"]
    assert killed.report["retry_outcomes"] == {"succeeded": 0, "buried": 1, "not_retried": 1}
    for name in SHARED:
        assert killed.report[name] == calm.report[name], name
    alarms = [{alert["name"] for alert in run.report["alerts"]} for run in (calm, killed)]
    assert alarms[1] == alarms[0], "one kill is no alarm"


def test_retries_are_counted_over_all_runs(tmp_path: Path) -> None:
    """A retry that succeeded in the first run, another in the second."""
    first = {"T8_RETRY_KINDS": {"ban": {"times": 3, "base": 0.01}}, "T8_ITEM_KEY": "id", **FIFO}
    pages: list[Any] = [[{"id": number, "do": "again"}] for number in range(6)]
    pages.insert(3, "more")
    state = tmp_path / "job/t8/state.db"
    start(tmp_path, pages, **first).until(lambda: committed(state).exported >= 2).stop()
    (tmp_path / "more").touch()
    run = crawl(tmp_path, pages, **first)
    assert [run["end"] for run in run.report["runs"]] == ["stopped", "finished"]
    assert run.report["retry_outcomes"] == {"succeeded": 6, "buried": 0, "not_retried": 0}
    assert run.report["retries"] == {"ban": 6}
    assert run.report["verdict"] == "complete"


@pytest.mark.parametrize(("before", "after"), [("first", "last"), ("last", "first")])
def test_changing_the_policy_between_runs_loses_nothing(tmp_path: Path, before: str, after: str) -> None:
    pages: list[Any] = [[{"id": 1}], [{"id": 2, "do": "die"}], [{"id": 3}]]
    settings = {"T8_ITEM_KEY": "id", **FIFO}
    assert crawl(tmp_path, pages, T8_DEDUP_POLICY=before, **settings).code == -signal.SIGKILL
    run = crawl(tmp_path, pages, T8_DEDUP_POLICY=after, **settings)
    # Or the crawl is refused, and goes on with the policy that it had.
    if run.code:
        assert "T8_DEDUP_POLICY" in run.log
        run = crawl(tmp_path, pages, T8_DEDUP_POLICY=before, **settings)
    assert sorted(item["id"] for item in run.items) == [1, 2, 3]
    assert run.counts == {"scraped": 3, "exported": 3}
