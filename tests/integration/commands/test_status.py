"""``scrapy t8 status``"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from scrapy_t8 import read_report
from tests.support.command import T8
from tests.support.crawl import Crawl
from tests.support.site import Server

from .conftest import new_crawl

pytestmark = pytest.mark.slow


def test_status_has_the_numbers_of_the_report(t8: T8, stopped: Crawl, killed: Crawl) -> None:
    for crawl in (stopped, killed):
        printed, report = t8.json("status", "--jobdir", crawl.job), read_report(crawl.job)
        assert printed["requests"] == report["ledger"]["requests"]
        assert printed["items"] == report["ledger"]["items"]
        assert printed["runs"] == report["runs"]
        assert printed["points"] == report["points"]
        assert printed["next_due"] == report["waiting"]["next_due"]
        for name, value in report["job"].items():
            assert printed["job"][name] == value
        for row, reported in zip(printed["hosts"], report["hosts"], strict=True):
            for what in ("host", "done", "ready", "waiting", "dead", "items"):
                assert row[what] == reported[what]


def test_a_crawl_that_ended_with_retries_waiting(t8: T8, stopped: Crawl) -> None:
    printed = t8.json("status", "--jobdir", stopped.job)
    assert (printed["version"], printed["kind"], printed["state"], printed["running"]) == (1, "crawl", "stopped", False)
    callbacks = {row["callback"]: row for row in printed["callbacks"]}
    assert printed["callbacks_exact"]
    assert callbacks["parse_list"] == {
        "callback": "parse_list",
        "done": 6,
        "items": 0,
        **dict.fromkeys(("ready", "waiting", "leased", "dead"), 0),
    }
    assert callbacks["parse_car"] == {
        "callback": "parse_car",
        "done": 45,
        "items": 45,
        "ready": 0,
        "waiting": 1,
        "leased": 0,
        "dead": 2,
    }
    assert printed["last_run"]["end"] == "stopped"
    assert (printed["rate"]["pages"], printed["rate"]["items"]) == (53, 45)
    assert printed["rate"]["pages_per_minute"] == pytest.approx(53 * 60 / printed["rate"]["seconds"], rel=0.05)
    assert printed["points"][0]["current_page"] == 6


def test_a_crawl_that_was_killed(t8: T8, killed: Crawl) -> None:
    printed = t8.json("status", "--jobdir", killed.job)
    assert printed["state"] == printed["last_run"]["end"] == "killed"
    assert printed["requests"]["leased"] == 0
    assert printed["requests"]["ready"] > 0
    assert printed["requests"]["difference"] == 0
    for what in ("hosts", "callbacks"):
        for state in ("ready", "waiting", "leased", "dead"):
            assert sum(row[state] for row in printed[what]) == printed["requests"][state]
    assert t8("status", "--jobdir", killed.job, "--check") == 3
    assert ": KILLED, INCOMPLETE\n" in t8.out
    assert "known requests have ended (" in t8.out
    assert "  next: the same command continues this job: " in t8.out


def test_callbacks_of_many_requests_are_counted_only_on_demand(
    t8: T8, killed: Crawl, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = t8.json("status", "--jobdir", killed.job)
    monkeypatch.setattr("scrapy_t8.commands.status.document.MOST", 1)
    printed = t8.json("status", "--jobdir", killed.job)
    assert not printed["callbacks_exact"]
    assert {row["callback"]: row["done"] for row in printed["callbacks"]}["parse_list"] > 0
    assert all(row["ready"] is None and row["waiting"] is None for row in printed["callbacks"])
    assert printed["hosts"] == exact["hosts"]
    assert t8("status", "--jobdir", killed.job) == 0
    assert "By callback: too many requests, --exact counts ready and waiting" in t8.out
    assert t8.json("status", "--jobdir", killed.job, "--exact")["callbacks"] == exact["callbacks"]


def test_status_as_text(t8: T8, stopped: Crawl) -> None:
    assert t8("status", "--jobdir", stopped.job) == 0
    assert "requests: 54 admitted = 51 done + 1 waiting + 2 dead" in t8.out
    assert "parse_car" in t8.out
    assert "LIST_COLLECTION" in t8.out
    assert "stopped (retries_waiting)" in t8.out
    assert ": STOPPED, INCOMPLETE\n" in t8.out
    assert "  2 without a result:\n" in t8.out
    assert "  next: the same command continues this job: 1 request is left\n" in t8.out


def test_a_job_that_has_finished_without_everything_is_not_well(t8: T8, server: Server, tmp_path: Path) -> None:
    crawl = new_crawl(server, tmp_path / "done")
    crawl.finished(RETRY_TIMES="0")
    printed = t8.json("status", "--jobdir", crawl.job)
    assert (printed["state"], printed["verdict"]) == ("finished", "incomplete")
    assert [row["kind"] for row in printed["failures"]]
    assert t8("status", "--check", "--jobdir", crawl.job) == 3
    assert ": FINISHED, INCOMPLETE\n" in t8.out
    assert "  next: this job has finished, so the same command alone begins a new one\n" in t8.out


def test_a_finished_job_that_was_healed_is_open_again(t8: T8, mine: Crawl) -> None:
    assert t8("failed", "discard", "--yes", "--jobdir", mine.job) == 0
    assert t8("heal", "--jobdir", mine.job) == 0
    assert t8("status", "--check", "--jobdir", mine.job) == 3


def test_reading_commands_write_nothing(t8: T8, killed: Crawl) -> None:
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in (killed.job / "t8").iterdir()}
    for command in ("status", "failed list", "failed groups", "points list", "report --json", "verify", "export"):
        assert t8(*command.split(), "--jobdir", killed.job) == 0
    after = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in before}
    for path in before:
        if path.name not in ("lock", "state.db-shm"):
            assert after[path] == before[path], path
    assert not (killed.job / "report").exists()


def test_a_job_in_the_default_directory_of_a_service(t8: T8, stopped: Crawl) -> None:
    shutil.copytree(stopped.job, "data/state")
    assert t8("status") == 0
