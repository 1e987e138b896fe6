"""A shop whose faults are known: the report has to name all of them, with and without kills."""

from __future__ import annotations

import copy
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import scrapy

from scrapy_t8 import read_report
from tests.support.browser import Visit, running
from tests.support.crawl import Crawl
from tests.support.site import Server, Site

from . import expected_report, truth
from .shop_pages import ShopPages

pytestmark = pytest.mark.slow
PROJECT = Path(__file__).parent / "project"
KILLS = (6, 10, 10, 10, 10)
"""Answers of the site after which a run is killed."""


@pytest.fixture(scope="module")
def shop(server: Server) -> Site:
    return server.site(ShopPages())


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory, shop: Site) -> tuple[Path, str]:
    crawl = Crawl(PROJECT, shop, tmp_path_factory.mktemp("calm"), "shop", site=shop.url)
    return crawl.work, crawl.run().log


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, shop: Site) -> tuple[Path, str]:
    crawl = Crawl(PROJECT, shop, tmp_path_factory.mktemp("killed"), "shop", site=shop.url)
    for answers in KILLS:
        crawl.killed_at(answers, slack=0)
    return crawl.work, crawl.run().log


def report_of(work: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((work / "job/report/report.json").read_text(encoding="utf-8"))
    return report


def rows(report: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """The cause of each item that is missing."""
    return {
        example["key"]: (row["cause"], row["detail"])
        for row in report["missing"]["causes"]
        for example in row["examples"]
        if "key" in example
    }


def normalised(report: dict[str, Any]) -> dict[str, Any]:
    """A report without what differs from one crawl to the next: times and the id of the job, the runs and the alarm
    about their ends, how often something was tried or left out again, the numbers of letters."""
    left = copy.deepcopy(report)
    for name in ("generated", "runs", "timeline", "retries", "releases"):
        del left[name]
    for name in ("id", "begun"):
        del left["job"][name]
    del left["without_result"]["filtered"]
    left["alerts"] = [alert for alert in left["alerts"] if alert["name"] != "run_died"]
    for row in left["dead"]:
        for name in ("first", "last", "letter"):
            del row[name]
    for row in left["hosts"]:
        del row["retries"]
    for row in left["feeds"]:
        del row["bytes"]
    for row in left["missing"]["causes"]:
        for example in row["examples"]:
            example.pop("letter", None)
    return left


@pytest.mark.parametrize("how", ["calm", "killed"])
def test_the_report_equals_the_expected_one(how: str, shop: Site, request: pytest.FixtureRequest) -> None:
    work, _ = request.getfixturevalue(how)
    report = report_of(work)
    assert normalised(report) == expected_report.document(shop.url)
    assert sum(row["pages"] for row in report["timeline"]) == report["ledger"]["requests"]["admitted"]
    assert sum(row["items"] for row in report["timeline"]) == report["ledger"]["items"]["exported"]
    assert sum(row["retries"] for row in report["timeline"]) == sum(report["retries"].values())
    assert report["retries"].keys() == {"host"}


@pytest.mark.parametrize("how", ["calm", "killed"])
def test_the_report_names_everything(how: str, request: pytest.FixtureRequest) -> None:
    work, log = request.getfixturevalue(how)
    report = report_of(work)
    assert rows(report) == truth.CAUSES
    by_number = [row for row in report["missing"]["causes"] if row["cause"] == "unnamed"]
    assert [(row["detail"], row["count"]) for row in by_number] == [(str(truth.LISTS - 1), truth.MORE)]
    assert report["verdict"] == "incomplete"
    ledger = report["ledger"]
    named = len(truth.GOOD) + len(truth.CAUSES)
    assert ledger["expected"] == {
        "expected": named + truth.MORE,
        "collected": len(truth.GOOD),
        "missing": len(truth.CAUSES) + truth.MORE,
        "difference": 0,
    }
    items = ledger["items"]
    assert items["exported"] == len(truth.GOOD)
    assert items["duplicate"] + items["dropped"] + items["failed"] == items["scraped"] - len(truth.GOOD)
    assert [(row["pipeline"], row["reason"]) for row in report["dropped"]] == [("Choosy", f"too cheap: {truth.SCRIPT}")]
    assert [(row["pipeline"], row["reason"]) for row in report["failed"]] == [("Choosy", "ValueError: it chokes")]
    for key in truth.CAUSES:
        assert key in log
    requests = ledger["requests"]
    assert requests["admitted"] == requests["done"] + requests["dead"]
    assert "difference" in requests
    assert not any(books["difference"] for books in ledger.values())


def test_kills_do_not_change_the_report(calm: tuple[Path, str], killed: tuple[Path, str]) -> None:
    assert normalised(report_of(killed[0])) == normalised(report_of(calm[0]))
    ends = [run["end"] for run in report_of(killed[0])["runs"]]
    assert ends == ["killed"] * len(KILLS) + ["finished"]
    alerts = [alert["name"] for alert in report_of(killed[0])["alerts"]]
    assert ("run_died" in alerts) == (len(KILLS) >= 3)


@pytest.mark.parametrize("how", ["calm", "killed"])
def test_the_feed_and_the_site_agree_with_the_report(how: str, request: pytest.FixtureRequest) -> None:
    """With nothing but the feed and the truth of the site."""
    work, _ = request.getfixturevalue(how)
    feed = Counter()
    with (work / "items.jsonl").open(encoding="utf-8") as file:
        for line in file:
            feed[json.loads(line)["id"]] += 1
    report = report_of(work)
    assert report["feeds"][0]["bytes"] == (work / "items.jsonl").stat().st_size
    assert report["releases"]["Scrapy"] == scrapy.__version__
    assert set(feed.values()) == {1}
    assert set(feed) == set(truth.GOOD)
    assert report["ledger"]["items"]["exported"] == feed.total() == report["feeds"][0]["items"]
    there = {key for page in truth.lists() for key in page} | {truth.UNLINKED}
    assert there - set(feed) == set(rows(report))
    seen = Counter(key for page in truth.lists() for key in page)
    good_twice = sum(count - 1 for key, count in seen.items() if key in feed)
    assert report["ledger"]["items"]["duplicate"] == good_twice


def test_the_page_in_a_browser(calm: tuple[Path, str], killed: tuple[Path, str]) -> None:
    """It says what the report says, and no width cuts it."""
    with running() as browser:
        for work, _ in (killed, calm):
            with browser.visit((work / "job/report/report.html").as_uri()) as visit:
                check_page(visit, report_of(work))
                for width, dark in ((390, False), (768, True), (1280, False)):
                    visit.resize(width)
                    visit.colour(dark=dark)
                    assert visit.cut() == []
                assert not visit.said
                assert not visit.asked


def check_page(visit: Visit, report: dict[str, Any]) -> None:
    figures = visit.page.eval_on_selector_all(
        "[data-figure]", "all => all.map(one => [one.dataset.figure, one.dataset.value])"
    )
    assert len(figures) > 50
    for path, value in figures:
        assert float(value) == float(at(report, path)), path
    text = visit.page.inner_text("body")
    for key in truth.CAUSES:
        assert key in text
    assert f"too cheap: {truth.SCRIPT}" in text
    assert visit.page.evaluate("document.scripts.length") == 1


def at(report: Any, path: str) -> Any:
    for name in path.split("."):
        name = name.replace("%2E", ".").replace("%25", "%")
        report = report[int(name)] if isinstance(report, list) else report[name]
    return report


def test_the_report_is_the_same_on_demand(calm: tuple[Path, str]) -> None:
    work, _ = calm
    again, then = read_report(work / "job"), report_of(work)
    for report in (again, then):
        del report["generated"], report["exit_status"]
    assert again == then
