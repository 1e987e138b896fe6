"""Items that are not as they should be; alerts, and who hears of them; exit statuses; reports on demand."""

from __future__ import annotations

import json
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from scrapy_t8 import open_dead_letters, read_report, write_report
from scrapy_t8.model.dead_letter import LetterFilter

from .crawls import begin, crawl

pytestmark = pytest.mark.slow
PAGES = [[{"id": 1, "value": 5}], [{"id": 2}, {"id": 3, "value": 6}], [{"id": "x", "value": 1}]]
"""One lacks its value, one has an id that is no number."""


@pytest.mark.parametrize("what", ["keep", "drop", "bury"])
@pytest.mark.parametrize("schema", ["required", "json", "pydantic"])
def test_what_becomes_of_invalid_items(tmp_path: Path, what: str, schema: str) -> None:
    json_schema = {"type": "object", "required": ["value"], "properties": {"id": {"type": "integer"}}}
    settings: dict[str, Any] = {
        "required": {"T8_REQUIRED_FIELDS": ["id", "value"]},
        "json": {"T8_ITEM_SCHEMA": {"dict": json_schema}},
        "pydantic": {"T8_ITEM_SCHEMA": {"dict": "given.Priced"}},
    }[schema]
    bad = 1 if schema == "required" else 2
    run = crawl(tmp_path, PAGES, T8_INVALID_ITEMS=what, **settings)
    assert len(run.items) == (4 if what == "keep" else 4 - bad)
    validation = run.report["validation"]
    assert validation["invalid"] == bad
    assert validation["valid"] == 4 - bad
    assert "value" in {row["field"] for row in validation["problems"]} | {
        word for row in validation["problems"] for word in row["message"].replace("'", " ").split()
    }
    with open_dead_letters(tmp_path / "job") as letters:
        assert letters.count(LetterFilter(kind="invalid")) == (bad if what == "bury" else 0)
    assert run.report["ledger"]["items"]["difference"] == 0
    if what == "drop":
        assert {row["pipeline"] for row in run.report["dropped"]} == {"T8ValidationPipeline"}


@pytest.mark.parametrize(("what", "good"), [("keep", 3), ("drop", 3), ("bury", 3)])
def test_an_invalid_item_counts_once_in_the_score(tmp_path: Path, what: str, good: int) -> None:
    (tmp_path / "keys").write_text("1\n2\n3\nx\n")
    settings = {"T8_REQUIRED_FIELDS": ["value"], "T8_EXPECT_FILE": "keys", "T8_ITEM_KEY": "id"}
    pages = [[{"id": 2}], [{"id": 1, "value": 5}, {"id": 3, "value": 6}, {"id": "x", "value": 1}]]
    run = crawl(tmp_path, pages, T8_INVALID_ITEMS=what, **settings)
    assert run.report["validation"]["integrity_score"] == good / 4
    assert run.report["validation"]["valid"] == good


def test_a_page_that_is_buried_for_an_invalid_item_comes_back(tmp_path: Path) -> None:
    settings = {"T8_INVALID_ITEMS": "bury", "T8_ITEM_KEY": "id"}
    crawl(tmp_path, PAGES, T8_REQUIRED_FIELDS=["value"], **settings)
    with open_dead_letters(tmp_path / "job") as letters:
        assert letters.revive(LetterFilter(kind="invalid")) == 1
    run = crawl(tmp_path, PAGES, **settings)
    assert len(run.items) == 4
    assert run.report["verdict"] == "complete"


def test_too_few_items_have_a_field(tmp_path: Path) -> None:
    run = crawl(tmp_path, PAGES, T8_FIELD_COVERAGE={"value": 0.9, "id": 0.9}, T8_EXIT_STATUS="1")
    assert [alert["name"] for alert in run.report["alerts"]] == ["field_coverage"]
    assert run.report["alerts"][0]["setting"] == "T8_FIELD_COVERAGE"
    assert run.report["coverage"] == [{"item": "dict", "count": 4, "fields": {"id": 1.0, "value": 0.75}}]
    assert (tmp_path / "alerts").read_text() == "field_coverage\n"
    assert run.report["verdict"] == "complete"
    assert run.status == run.report["exit_status"] == 4


def test_with_what_the_process_ends(tmp_path: Path) -> None:
    good = crawl(tmp_path, [[{"id": 1}]], T8_EXIT_STATUS="1")
    assert (good.status, good.report["exit_status"], good.report["verdict"]) == (0, 0, "complete")
    (tmp_path / "keys").write_text("1\n2\n")
    bad = crawl(tmp_path, [[{"id": 1}]], T8_EXIT_STATUS="1", T8_EXPECT_FILE="keys", T8_ITEM_KEY="id")
    assert (bad.status, bad.report["exit_status"], bad.report["verdict"]) == (3, 3, "incomplete")
    silent = crawl(tmp_path, [[{"id": 1}]], T8_EXPECT_FILE="keys", T8_ITEM_KEY="id")
    assert (silent.status, silent.report["exit_status"]) == (0, 3)


def test_a_validator_of_the_project(tmp_path: Path) -> None:
    pages = [[{"id": 1, "do": "again"}]]
    run = crawl(tmp_path, pages, T8_VALIDATOR="given.Strict", T8_RETRY_KINDS={"ban": {"times": 0}})
    custom = run.report["validation"]["custom"]
    assert custom["valid"] is False
    assert custom["custom"]["DETAIL_COLLECTION"] == {"valid": False, "seen": "DETAIL_COLLECTION"}


def test_a_validator_of_the_project_with_a_database(tmp_path: Path) -> None:
    pages = [[{"id": 1, "do": "again"}]]
    settings = {"T8_VALIDATOR": "given.Shopkeeper", "T8_RETRY_KINDS": {"ban": {"times": 0}}}
    problems = crawl(tmp_path, pages, **settings).report["validation"]["custom"]["database"]["problems"]
    assert [problem["message"] for problem in problems] == ["the database sqlite:///shop.db: there is no file shop.db"]
    with sqlite3.connect(tmp_path / "shop.db") as shop:
        shop.execute("CREATE TABLE cars (slug TEXT)")
        shop.execute("INSERT INTO cars VALUES ('a'), ('a')")
    shop.close()
    again = tmp_path / "again"
    again.mkdir()
    (tmp_path / "shop.db").rename(again / "shop.db")
    custom = crawl(again, pages, **settings).report["validation"]["custom"]
    assert custom["items"]["DETAIL_COLLECTION"]["duplicate_keys"] == {"a": 2}
    assert custom["valid"] is False


class Receiver:
    """Somebody who is told."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                if self.path == "/hangs":
                    time.sleep(30)
                self.send_response(500 if self.path == "/fails" else 200)
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"json://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()


@pytest.mark.parametrize(("how", "warned"), [("", False), ("/fails", True), ("/hangs", True)])
def test_somebody_is_told(tmp_path: Path, receiver: Receiver, how: str, warned: bool) -> None:
    began = time.monotonic()
    urls = {"T8_NOTIFY_URLS": [receiver.url + how], "T8_NOTIFY_TIMEOUT": 2}
    run = crawl(tmp_path, PAGES, T8_FIELD_COVERAGE={"value": 0.9}, **urls)
    assert time.monotonic() - began < 20
    assert run.status == 0
    assert receiver.heard[0]["title"] == "given: complete, 1 alerts"
    assert "field_coverage" in receiver.heard[0]["message"]
    assert ("T8_NOTIFY_URLS" in run.log or "127.0.0.1" in run.log.split("Integrity report")[1]) is warned
    assert "Traceback" not in run.log


def test_nobody_is_told_when_all_is_well(tmp_path: Path, receiver: Receiver) -> None:
    crawl(tmp_path, PAGES, T8_NOTIFY_URLS=[receiver.url])
    assert not receiver.heard


def test_reports_of_a_run_that_goes_on_that_was_killed_and_that_was_stopped(tmp_path: Path) -> None:
    pages = [[{"id": number}] for number in range(40)]
    process = begin(tmp_path, pages, DOWNLOAD_DELAY=0.2, CONCURRENT_REQUESTS=1, T8_ITEM_KEY="id")
    feed = tmp_path / "items.jsonl"
    while not feed.exists() or feed.read_text().count("\n") < 2:
        time.sleep(0.02)
    looks = [read_report(tmp_path / "job") for _ in range(20)]
    assert process.poll() is None
    assert all(look["running"] and look["verdict"] == "incomplete" for look in looks)
    assert looks[-1]["runs"][-1]["end"] == "running"
    assert not any(books["difference"] for look in looks for books in look["ledger"].values())
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "job/report").exists()
    report = write_report(tmp_path / "job")
    assert report["runs"][-1]["end"] == "killed"
    assert not report["running"]
    assert json.loads((tmp_path / "job/report/report.json").read_text()) == report
    assert (tmp_path / "job/report/report.html").exists()
    before = report["ledger"]["items"]["exported"]
    process = begin(tmp_path, pages, DOWNLOAD_DELAY=0.2, CONCURRENT_REQUESTS=1, T8_ITEM_KEY="id")
    while feed.read_text().count("\n") < before + 2:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, log = process.communicate(timeout=30)
    assert "Integrity report of" in log
    stopped = json.loads((tmp_path / "job/report/report.json").read_text())
    assert [run["end"] for run in stopped["runs"]] == ["killed", "stopped"]
    assert stopped["ledger"]["items"]["exported"] > before
    run = crawl(tmp_path, pages, T8_ITEM_KEY="id")
    assert sorted(item["id"] for item in run.items) == list(range(40))
    assert run.report["verdict"] == "complete"


def test_a_second_ctrl_c_still_leaves_a_report(tmp_path: Path) -> None:
    pages = [[{"id": number}] for number in range(40)]
    process = begin(tmp_path, pages, DOWNLOAD_DELAY=0.1, CONCURRENT_REQUESTS=2)
    feed = tmp_path / "items.jsonl"
    while not feed.exists() or feed.read_text().count("\n") < 2:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    report = json.loads((tmp_path / "job/report/report.json").read_text())
    assert report["runs"][-1]["end"] == "stopped"
    assert not any(books["difference"] for books in report["ledger"].values())


def test_a_second_ctrl_c_while_somebody_is_being_told(tmp_path: Path, receiver: Receiver) -> None:
    """The run has ended: it stays what it was."""
    urls = {"T8_NOTIFY_URLS": [receiver.url + "/hangs"], "T8_NOTIFY_TIMEOUT": 60}
    process = begin(tmp_path, PAGES, T8_FIELD_COVERAGE={"value": 0.9}, **urls)
    while not receiver.heard:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    report = read_report(tmp_path / "job")
    assert [run["end"] for run in report["runs"]] == ["finished"]
    assert not report["running"]
