"""Secrets of a crawl are in no part of its report, neither in the files nor in the log."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import msgpack
import pytest

from scrapy_t8 import read_report, write_report
from scrapy_t8.model.batch import CommitBatch, PointRecord
from scrapy_t8.model.dead_letter import DeadLetter
from scrapy_t8.model.items import ExpectationChange, ItemKey, ItemLoss
from scrapy_t8.model.job import JobRecord
from scrapy_t8.report.files import write
from scrapy_t8.report.summary import summary
from scrapy_t8.stores.sqlite.store import SQLiteStore
from scrapy_t8.utils.log.mask import NAMES
from tests.integration.items.crawls import crawl

SECRET = "geh3im"
URL = f"https://user:{SECRET}@shop.example/car?id=7&api_key={SECRET}&Session-Id={SECRET}#top"
HEADERS = f"sent Authorization: Basic {SECRET}", f"sent {{'Cookie': 'sid={SECRET}; b={SECRET}'}}"
ARGUMENTS = {
    "password": SECRET,
    "API-Key": SECRET,
    "login": {"user": "ann", "Passwd": SECRET},
    "start_url": URL,
    "urls": [URL, URL],
    "headers": f"Cookie: {SECRET}",
}


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A job in which every string that a report shows has a secret."""
    store = SQLiteStore(tmp_path / "t8")
    store.open()
    record = JobRecord("job", "shop", dict(ARGUMENTS), 1.0, finished=True)
    store.begin_job(record)
    store.begin_run(2.0, 5)
    now = time.time()
    whose = {"host": "shop.example", "callback": "parse", "job": "job", "spider": "shop"}
    errors = enumerate((f"404 {URL}", *HEADERS))
    batch = CommitBatch(
        buried=[DeadLetter(n, b"", "http", error, now, URL, fingerprint=n, **whose) for n, error in errors],
    )
    batch.expected = {
        1: ExpectationChange(URL, [URL, f"token={SECRET}"], True, cause=f"dropped\tChoosy: {HEADERS[0]}", url=URL),
        2: ExpectationChange(f"two {URL}", ["list"], True, opened=1, cause="dead", request=0, url=URL),
        3: ExpectationChange(f"three {URL}", ["list"], True, cause="no_item", url=URL),
    }
    batch.announced = {f"signature={SECRET}": 9}
    batch.items = [ItemKey(9, URL)]
    batch.losses = [
        ItemLoss("dropped", "Choosy", HEADERS[0], 1, URL, URL),
        ItemLoss("failed", "Choosy", f"ValueError: {HEADERS[1]}", 1, URL, URL),
    ]
    batch.feeds = {"feed:x": {"uri": f"ftp://user:{SECRET}@host/items.jsonl", "format": "jsonl", "items": 1}}
    batch.points = [PointRecord("LIST", "cars", now, json.dumps({"task_type": "LIST", "last_cursor": URL}))]
    batch.kept = {
        "duplicates": msgpack.packb([(URL, [])]),
        "problems": msgpack.packb([["enum", "Car", "price", f"is no price: {HEADERS[1]}", 1, [URL]]]),
    }
    store.commit(batch, record, now)
    store.end_run(now, "finished", record)
    store.close()
    return tmp_path


def published(jobdir: Path, document: dict[str, Any]) -> list[str]:
    """All that is said in public."""
    write(document, jobdir / "report", jobdir)
    files = [(jobdir / "report" / name).read_text(encoding="utf-8") for name in ("report.json", "report.html")]
    return [*files, summary(document, Path("job"))]


def test_a_report_shows_no_secrets(job: Path) -> None:
    document = read_report(job)
    for text in published(job, document):
        assert SECRET not in text
    causes = {row["cause"] for row in document["missing"]["causes"]}
    assert causes == {"dead", "dropped", "no_item", "unnamed"}
    assert len(document["dead"]) == 3
    assert document["job"]["arguments"]["login"] == {"user": "ann", "Passwd": "***"}
    assert document["feeds"][0]["uri"] == "ftp://***@host/items.jsonl"
    assert document["points"][0]["last_cursor"].startswith("https://***@shop.example/car?id=7&api_key=***")


def test_a_report_on_demand_shows_no_secrets(job: Path) -> None:
    document = write_report(job)
    for text in published(job, document):
        assert SECRET not in text


@pytest.mark.parametrize("value", [4711, 47.11, [4711], ["x4711"], {"first": "x4711"}, None])
def test_arguments_of_any_type_are_masked(tmp_path: Path, value: Any) -> None:
    store = SQLiteStore(tmp_path / "t8")
    store.open()
    store.begin_job(JobRecord("job", "shop", {"token": value, "depth": 3}, 1.0))
    store.close()
    arguments = read_report(tmp_path)["job"]["arguments"]
    assert "47" not in json.dumps(arguments["token"])
    assert arguments["depth"] == 3


@pytest.mark.slow
def test_a_crawl_with_a_mask_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"{URL}\nhttps://shop.example/?pin={SECRET}\n")
    pages = [[{"id": f"{URL}&n={number}", "do": "drop"}, {"id": URL + "x"}] for number in range(2)]
    run = crawl(
        tmp_path,
        pages,
        pin=SECRET,
        site=f"https://shop.example/?pin={SECRET}",
        T8_REPORT_MASK=[*NAMES, "pin"],
        T8_EXPECT_FILE="keys",
        T8_ITEM_KEY="id",
        T8_REQUIRED_FIELDS=["value"],
    )
    assert run.report["job"]["arguments"]["pin"] == "***"
    _, _, lines = run.log.partition("Integrity report of")
    lines, _, _ = lines.partition("more in")
    assert "INCOMPLETE" in lines
    assert SECRET not in lines
    for name in ("report.json", "report.html"):
        text = (tmp_path / "job/report" / name).read_text(encoding="utf-8")
        assert SECRET not in re.sub(r"data:application/json,[^\"<&]*", "", text), name  # that is the site


@pytest.mark.slow
def test_what_a_validator_says_is_masked_too(tmp_path: Path) -> None:
    # The dead letter of this page is the task that the validator looks at.
    settings = {"T8_VALIDATOR": "given.Talkative", "T8_RETRY_KINDS": {"ban": {"times": 0}}}
    run = crawl(tmp_path, [[{"id": 1, "do": "again"}]], **settings)
    assert run.report["validation"]["custom"]["custom"]
    assert SECRET not in json.dumps(run.report)


@pytest.mark.slow
def test_a_report_on_demand_has_the_mask_of_the_crawl(tmp_path: Path) -> None:
    crawl(tmp_path, [[{"id": 1}]], pin=SECRET, T8_REPORT_MASK=[*NAMES, "pin"])
    assert SECRET not in json.dumps(write_report(tmp_path / "job"))
