"""Alerts, who is notified of them, exit statuses; and reports of runs that go on, were killed, were stopped."""

from __future__ import annotations

import json
from pathlib import Path
from signal import SIGINT
from typing import Any

import pytest

from scrapy_t8 import read_report, write_report
from tests.integration.items.crawls import FIFO, crawl, start
from tests.support.ledger import committed
from tests.support.site import Site

pytestmark = pytest.mark.slow
PAGES = [[{"id": 1, "value": 5}], [{"id": 2}, {"id": 3, "value": 6}], [{"id": "x", "value": 1}]]
"""One lacks its value."""


def test_too_few_items_have_a_field(tmp_path: Path) -> None:
    run = crawl(tmp_path, PAGES, T8_FIELD_COVERAGE={"value": 0.9, "id": 0.9}, T8_EXIT_STATUS="1")
    assert [alert["name"] for alert in run.report["alerts"]] == ["field_coverage"]
    assert run.report["alerts"][0]["setting"] == "T8_FIELD_COVERAGE"
    assert run.report["coverage"] == [{"item": "dict", "count": 4, "fields": {"id": 1.0, "value": 0.75}}]
    assert (tmp_path / "alerts").read_text() == "field_coverage\n"
    assert run.report["verdict"] == "complete"
    assert run.code == run.report["exit_status"] == 4


def test_exit_statuses(tmp_path: Path) -> None:
    good = crawl(tmp_path, [[{"id": 1}]], T8_EXIT_STATUS="1")
    assert (good.code, good.report["exit_status"], good.report["verdict"]) == (0, 0, "complete")
    (tmp_path / "keys").write_text("1\n2\n")
    bad = crawl(tmp_path, [[{"id": 1}]], T8_EXIT_STATUS="1", T8_EXPECT_FILE="keys", T8_ITEM_KEY="id")
    assert (bad.code, bad.report["exit_status"], bad.report["verdict"]) == (3, 3, "incomplete")
    silent = crawl(tmp_path, [[{"id": 1}]], T8_EXPECT_FILE="keys", T8_ITEM_KEY="id")
    assert (silent.code, silent.report["exit_status"]) == (0, 3)


def address(site: Site, page: str) -> str:
    """Return the address at which the site takes notifications."""
    return f"{site.url}/notify/{page}".replace("http://", "json://")


@pytest.mark.parametrize(("page", "warned", "timeout"), [("ok", False, 600), ("broken", True, 600), ("held", True, 2)])
def test_alerts_are_sent(tmp_path: Path, site: Site, page: str, warned: bool, timeout: int) -> None:
    urls = {"T8_NOTIFY_URLS": [address(site, page)], "T8_NOTIFY_TIMEOUT": timeout}
    run = crawl(tmp_path, PAGES, T8_FIELD_COVERAGE={"value": 0.9}, **urls)
    assert run.code == 0
    if page != "held":  # on a slow machine, the time is over before anything was sent
        assert site.posted[0]["title"] == "given: complete, 1 alerts"
        assert "field_coverage" in site.posted[0]["message"]
    assert ("T8_NOTIFY_URLS" in run.log or "127.0.0.1" in run.log.split("Integrity report")[1]) is warned
    assert "Traceback" not in run.log


def test_nothing_is_sent_without_alerts(tmp_path: Path, site: Site) -> None:
    crawl(tmp_path, PAGES, T8_NOTIFY_URLS=[address(site, "ok")])
    assert not site.posted


def test_reports_of_a_run_that_goes_on_that_was_killed_and_that_was_stopped(tmp_path: Path) -> None:
    pages = [[{"id": number}] for number in range(40)]
    gated = [*pages[:10], "more", *pages[10:20], "rest", *pages[20:]]
    settings: dict[str, Any] = {"T8_ITEM_KEY": "id", **FIFO}
    state = tmp_path / "job/t8/state.db"
    running = start(tmp_path, gated, **settings).until(lambda: committed(state).exported >= 2)
    looks = [read_report(tmp_path / "job") for _ in range(20)]
    assert running.process.is_alive
    assert all(look["running"] and look["verdict"] == "incomplete" for look in looks)
    assert looks[-1]["runs"][-1]["end"] == "running"
    assert not any(books["difference"] for look in looks for books in look["ledger"].values())
    running.kill()
    assert not (tmp_path / "job/report").exists()
    report = write_report(tmp_path / "job")
    assert report["runs"][-1]["end"] == "killed"
    assert not report["running"]
    assert json.loads((tmp_path / "job/report/report.json").read_text()) == report
    assert (tmp_path / "job/report/report.html").exists()
    before = report["ledger"]["items"]["exported"]
    (tmp_path / "more").touch()
    log = start(tmp_path, gated, **settings).until(lambda: committed(state).exported >= before + 2).stop().log
    assert "Integrity report of" in log
    stopped = json.loads((tmp_path / "job/report/report.json").read_text())
    assert [run["end"] for run in stopped["runs"]] == ["killed", "stopped"]
    assert stopped["ledger"]["items"]["exported"] > before
    (tmp_path / "rest").touch()
    run = crawl(tmp_path, gated, **settings)
    assert sorted(item["id"] for item in run.items) == list(range(40))
    assert run.report["verdict"] == "complete"


def test_a_second_ctrl_c_still_leaves_a_report(tmp_path: Path) -> None:
    """The pipeline holds an item, so that one Ctrl-C does not end the run."""
    pages = [[{"id": 0}], [{"id": 1, "do": "wait"}], [{"id": 2}], "never"]
    state = tmp_path / "job/t8/state.db"
    running = start(tmp_path, pages, **FIFO).until(lambda: committed(state).exported == 2)
    running.send(SIGINT)
    running.until_log("Received SIGINT, shutting down gracefully")
    running.send(SIGINT)
    running.wait()
    report = json.loads((tmp_path / "job/report/report.json").read_text())
    assert report["runs"][-1]["end"] == "stopped"
    assert not any(books["difference"] for books in report["ledger"].values())


def test_a_second_ctrl_c_while_somebody_is_being_notified(tmp_path: Path, site: Site) -> None:
    """The run has ended: it stays what it was."""
    urls = {"T8_NOTIFY_URLS": [address(site, "held")], "T8_NOTIFY_TIMEOUT": 600}
    running = start(tmp_path, PAGES, T8_FIELD_COVERAGE={"value": 0.9}, **urls).until(lambda: site.posted)
    running.send(SIGINT)
    running.until_log("Received SIGINT, shutting down gracefully")
    running.send(SIGINT)
    running.wait()
    report = read_report(tmp_path / "job")
    assert [run["end"] for run in report["runs"]] == ["finished"]
    assert not report["running"]
