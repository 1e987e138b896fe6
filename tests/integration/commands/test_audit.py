"""``scrapy t8 report``, ``verify`` and ``heal``"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scrapy_t8 import read_report
from tests.support.command import T8
from tests.support.crawl import Crawl

from .conftest import FEEDS

pytestmark = pytest.mark.slow


# -- report ------------------------------------------------------------------------------------------------------


def test_the_report_is_written_and_printed(t8: T8, mine: Crawl) -> None:
    written = mine.job / "report" / "report.json"
    written.unlink()
    assert t8("report", "--jobdir", mine.job) == 0
    assert json.loads(written.read_text())["verdict"] == "incomplete"
    assert "INCOMPLETE" in t8.out
    assert t8.out.endswith(f"more in {mine.job}/report/report.html\n")
    assert t8("report", "--output", "there", "--check", "--jobdir", mine.job) == 3
    assert Path("there/report.html").exists()
    assert t8("report", "--jobdir", mine.job, settings={"T8_REPORT_DIR": "elsewhere"}) == 0
    assert Path("elsewhere/report.json").exists()


def test_json_is_the_document_and_no_file(t8: T8, mine: Crawl) -> None:
    before = (mine.job / "report" / "report.json").read_bytes()
    printed, report = t8.json("report", "--jobdir", mine.job), read_report(mine.job)
    assert {**printed, "generated": ""} == {**report, "generated": ""}
    assert (mine.job / "report" / "report.json").read_bytes() == before


def test_a_report_that_cannot_be_written(t8: T8, mine: Crawl) -> None:
    assert "the report cannot be written to mine/scrapy" in t8.refused(
        1, "report", "--output", _file("mine/scrapy"), "--jobdir", mine.job
    )


def _file(name: str) -> str:
    Path(name).write_text("in the way")
    return name


# -- verify ------------------------------------------------------------------------------------------------------


def test_a_job_without_differences_verifies(t8: T8, stopped: Crawl, killed: Crawl) -> None:
    printed = t8.json("verify", "--jobdir", stopped.job)
    assert printed["ok"]
    checks = {check["what"]: check for check in printed["checks"]}
    for feed in FEEDS:
        assert checks[f"items in {feed}"] == {
            "what": f"items in {feed}",
            "books": 45,
            "found": 45,
            "ok": True,
            "note": "",
        }
    assert checks["requests admitted"]["found"] == 54
    printed = t8.json("verify", "--jobdir", killed.job)
    checks = {check["what"]: check for check in printed["checks"]}
    assert checks["items in items.jsonl"]["found"] >= 15
    assert checks["items in items.json"]["ok"] is None


def lose_a_line(mine: Crawl) -> str:
    feed = mine.work / "items.jsonl"
    feed.write_text("".join(feed.read_text().splitlines(keepends=True)[1:]))
    return "items in items.jsonl"


def replace_a_line(mine: Crawl) -> str:
    feed = mine.work / "items.jsonl"
    first, *rest = feed.read_text().splitlines(keepends=True)
    feed.write_text("x" * (len(first) - 1) + "\n" + "".join(rest))
    return "items in items.jsonl"


def repeat_a_row(mine: Crawl) -> str:
    feed = mine.work / "items.csv"
    first, second, third, *rest = feed.read_text().splitlines(keepends=True)
    feed.write_text(first + second + third.replace(",", "\r\n", 1) + "".join(rest))
    return "items in items.csv"


def remove_a_feed(mine: Crawl) -> str:
    (mine.work / "items.xml").unlink()
    return "items in items.xml"


def shorten_a_list(mine: Crawl) -> str:
    feed = mine.work / "items.json"
    feed.write_text(json.dumps(json.loads(feed.read_text())[1:]))
    return "items in items.json"


def lose_the_log(mine: Crawl) -> str:
    for log in (mine.job / "t8").glob("*.undo"):
        if "items.csv" in log.read_text():
            log.unlink()
    return "items in items.csv"


def forget_a_request(mine: Crawl) -> str:
    change(mine, "DELETE FROM waiting")
    return "requests admitted"


def forget_a_letter(mine: Crawl) -> str:
    change(mine, "DELETE FROM dead WHERE id = 1")
    return "dead letters of this job"


def change(mine: Crawl, statement: str) -> None:
    with sqlite3.connect(mine.job / "t8/state.db") as db:
        db.execute(statement)
    db.close()


@pytest.mark.parametrize(
    "spoil",
    [
        lose_a_line,
        replace_a_line,
        repeat_a_row,
        remove_a_feed,
        shorten_a_list,
        lose_the_log,
        forget_a_request,
        forget_a_letter,
    ],
)
def test_a_difference_is_found(t8: T8, fresh: Crawl, spoil: Callable[[Crawl], str]) -> None:
    mine, what = fresh, spoil(fresh)
    assert t8("verify", "--json", "--jobdir", mine.job) == 3
    printed: dict[str, Any] = json.loads(t8.out)
    assert not printed["ok"]
    assert [check["what"] for check in printed["checks"] if check["ok"] is False] == [what]
    assert t8("verify", "--jobdir", mine.job) == 3
    assert "DIFFERENT" in t8.out


# -- heal --------------------------------------------------------------------------------------------------------


def test_heal(t8: T8, mine: Crawl) -> None:
    at = ("--jobdir", mine.job)
    planned = t8.json("heal", "--dry-run", *at)
    assert (planned["total"], planned["revived"], planned["under_way"], planned["dry_run"]) == (2, 2, 1, True)
    assert t8.json("status", *at)["requests"]["dead"] == 2
    assert t8("heal", "--dry-run", *at) == 0
    assert "2 missing items would be requested again" in t8.out
    assert t8.json("heal", *at) == {**planned, "dry_run": False}
    printed = t8.json("status", *at)["requests"]
    assert (printed["dead"], printed["waiting"], printed["difference"]) == (0, 3, 0)
    assert t8("heal", *at) == 0
    assert t8.out == "There is nothing to heal: 3 are under way anyway.\n"
