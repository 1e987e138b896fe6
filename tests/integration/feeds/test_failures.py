"""Feeds that cannot be written, and items that a feed does not take."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from .crawls import KILLED, crawl, files
from .records import records

pytestmark = pytest.mark.slow

ALL = 97
JSONL = {"format": "jsonlines"}
JSON = {"format": "json"}
STATS = {"tests.support.probe.StatsFile": 900}


def test_a_feed_that_is_removed_stops_the_crawl(tmp_path: Path) -> None:
    feeds = {"items.jsonl": JSONL, "other.jsonl": JSONL}

    stopped = crawl(tmp_path, feeds, end="remove items.jsonl:page:9")

    assert stopped.reason == "t8_feed_failed"
    (line,) = stopped.at("CRITICAL")
    assert f"the feed {tmp_path}/items.jsonl was removed while the crawl ran" in line
    so_far = records(tmp_path / "other.jsonl")

    resumed = crawl(tmp_path, feeds)

    assert resumed.reason == "finished"
    (line,) = resumed.at("ERROR")
    assert "items.jsonl is gone" in line
    whole = records(tmp_path / "other.jsonl")
    assert set(whole.values()) == {1}
    assert whole.total() == ALL
    assert set(records(tmp_path / "items.jsonl")) < set(whole)
    assert so_far.total() < ALL


def test_two_feeds_in_one_file_stop_the_crawl_before_it_writes(tmp_path: Path) -> None:
    stopped = crawl(tmp_path, {"items.json": JSON, "./items.json": JSONL})
    assert stopped.reason == "t8_feed_failed"
    (line,) = stopped.at("CRITICAL")
    assert f"FEEDS names the file {tmp_path}/items.json twice, as items.json and as ./items.json" in line
    assert not files(tmp_path)

    resumed = crawl(tmp_path, {"items.json": JSON})
    assert (resumed.reason, resumed.stats["t8/verdict"]) == ("finished", "complete")


def test_a_resume_with_another_format_in_the_same_file_is_refused(tmp_path: Path) -> None:
    crawl(tmp_path, {"items": JSONL}, CLOSESPIDER_ITEMCOUNT=20)
    before = (tmp_path / "items").read_bytes()

    refused = crawl(tmp_path, {"items": {"format": "csv"}})

    assert refused.reason == "t8_feed_failed"
    (line,) = refused.at("CRITICAL")
    assert "in the format jsonlines, which cannot be followed by csv" in line
    assert (tmp_path / "items").read_bytes() == before
    resumed = crawl(tmp_path, {"items": {"format": "jl"}})  # another name of the same format
    assert (resumed.reason, resumed.stats["t8/verdict"]) == ("finished", "complete")


def test_feeds_that_another_exporter_should_write_prove_nothing(tmp_path: Path) -> None:
    """Also if another run of the job has T8's exporter."""
    off = {**STATS, "scrapy_t8.T8FeedExporter": None}
    stopped = crawl(tmp_path, {"items.jsonl": JSONL}, EXTENSIONS=off, CLOSESPIDER_ITEMCOUNT=20)
    assert len(stopped.lines("T8FeedExporter has not written the feeds of a run")) == 2  # a warning, and the report
    assert crawl(tmp_path, {"items.jsonl": JSONL}).stats["t8/verdict"] == "incomplete"


def test_a_feed_exporter_of_the_project_writes_each_item_once(tmp_path: Path) -> None:
    run = crawl(tmp_path, {"items.jsonl": JSONL}, EXTENSIONS={**STATS, "feed_parts.OwnExporter": 0})
    assert run.reason == "finished"
    assert set(records(tmp_path / "items.jsonl").values()) == {1}
    assert records(tmp_path / "items.jsonl").total() == ALL
    assert run.stats["t8/verdict"] == "incomplete"
    assert run.lines("EXTENSIONS has feed_parts.OwnExporter")


def test_a_directory_that_cannot_be_written_stops_the_crawl(tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("a file where a directory should be")
    feeds = {"blocked/items.jsonl": JSONL}
    # No items from start(): Scrapy 2.19 itself never closes a spider while one of those is being processed.
    page = ("-a", "count=5")

    stopped = crawl(tmp_path, feeds, *page, spider="huge")

    assert stopped.reason == "t8_feed_failed"
    (line,) = stopped.at("CRITICAL")
    assert str(tmp_path / "blocked") in line
    assert "Traceback" not in stopped.log
    (tmp_path / "blocked").unlink()

    assert crawl(tmp_path, feeds, *page, spider="huge").reason == "finished"
    written = records(tmp_path / "blocked" / "items.jsonl")
    assert written.total() == len(written) == 5


def test_a_job_is_not_finished_before_each_feed_is_stored(tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("a file where a directory should be")
    nothing = {"format": "json", "item_filter": "feed_parts.Nothing"}
    feeds = {
        "blocked/items.json": JSON,
        "blocked/none.json": nothing,
        "remote://items.json": JSON,
        "remote://five-%(batch_id)d.csv": {"format": "csv", "batch_item_count": 50},
        "fine.json": JSON,
        "items.jsonl": JSONL,
    }

    failed = crawl(tmp_path, feeds, variables={"REMOTE": "closed"})

    assert failed.stats["feedexport/failed_count/RemoteStorage"] == 3
    assert failed.stats["feedexport/success_count/FileFeedStorage"] == 2
    assert sum("blocked" in line for line in failed.at("ERROR")) == 2
    assert "the job is not" in failed.at("ERROR")[-1]
    assert records(tmp_path / "fine.json").total() == ALL
    (tmp_path / "blocked").unlink()

    fixed = crawl(tmp_path, feeds)

    assert fixed.reason == "finished"
    assert not fixed.at("ERROR")
    assert "response_received_count" not in fixed.stats
    expected = {
        "blocked/items.json": ALL,
        "blocked/none.json": 0,
        "remote/items.json": ALL,
        "remote/five-1.csv": 50 + 1,
        "remote/five-2.csv": 47 + 1,
        "fine.json": ALL,
        "items.jsonl": ALL,
    }
    assert {name: records(path).total() for name, path in files(tmp_path).items()} == expected

    again = crawl(tmp_path, {"new.jsonl": JSONL})
    assert again.stats["response_received_count"] == 30, "the job had finished, so this is a new one"


def test_items_that_a_feed_does_not_take(tmp_path: Path) -> None:
    plain, place = tmp_path / "plain", tmp_path / "t8"
    chosen = {"item_classes": ["feed_parts.BookItem", "feed_parts.BookData"]}
    feeds: dict[str, Any] = {
        "items.jsonl": JSONL,
        "items.csv": {"format": "csv"},
        "items.json": JSON,
        "chosen.json": {"format": "json", **chosen},
        "chosen.jsonl": {"format": "jsonlines", **chosen},
    }
    for directory in (plain, place):
        directory.mkdir()
    # A feed that does not take an item keeps plain Scrapy from giving it to the feeds after it.
    crawl(plain, {"items.jsonl": JSONL}, spider="awkward", t8=False)
    assert crawl(place, feeds, spider="awkward", end="kill:page:12").code == KILLED

    run = crawl(place, feeds, spider="awkward")

    assert run.reason == "finished"
    assert records(place / "items.jsonl") == records(plain / "items.jsonl")
    assert ids(place / "items.jsonl").keys() & AWKWARD == {"x-4"}
    assert ids(place / "items.json").keys() & AWKWARD == {"x-1", "x-2", "x-4"}
    assert ids(place / "chosen.json").keys() & AWKWARD == {"x-1", "x-2"}
    for name in ("items.json", "items.jsonl", "chosen.json", "chosen.jsonl"):
        assert set(ids(place / name).values()) == {1}
    assert b"x-1,ONE,opaque," in (place / "items.csv").read_bytes()
    first = next(item for item in json.loads((place / "items.json").read_bytes()) if item["id"] == "x-1")
    assert first["price"] == "opaque"
    assert first["tags"] == [{"deep": "opaque"}]


def test_a_value_stored_as_text_is_reported_once(tmp_path: Path) -> None:
    run = crawl(tmp_path, {"items.json": JSON, "items.jsonl": JSONL}, spider="awkward")

    (line,) = run.lines("is kept as text")
    assert "price of an item is kept as text: a feed_parts.Opaque cannot be stored" in line
    assert run.stats["t8/verdict"] == "incomplete", "a feed lacks what it has not taken"
    report = json.loads((tmp_path / "job/report/report.json").read_text())
    doubts = {feed["uri"]: feed["doubts"] for feed in report["feeds"]}
    assert doubts == {"items.json": ["feed:refused", "feed:altered"], "items.jsonl": ["feed:refused"]}
    assert len(run.at("ERROR")) == 4, "three of items.jsonl, one of items.json"
    assert run.stats["feedexport/failed_items/jsonlines"] == 3
    assert run.stats["feedexport/failed_items/json"] == 1


AWKWARD = {"x-1", "x-2", "x-3", "x-4"}


def ids(path: Path) -> Counter[str]:
    data = path.read_text()
    items = json.loads(data) if path.suffix == ".json" else map(json.loads, data.splitlines())
    return Counter(item["id"] for item in items)
