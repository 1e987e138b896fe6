"""Which of several items with the same key is exported."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.releases import prompt_callbacks

from .crawls import FIFO, crawl

pytestmark = pytest.mark.slow
KEY = {"T8_ITEM_KEY": "id"}


@pytest.mark.parametrize("kind", ["dict", "scrapy", "data", "attrs", "pydantic"])
def test_the_first_stays_whatever_the_item(tmp_path: Path, kind: str) -> None:
    pages = [[{"id": 1, "value": 1}, {"id": 2}, {"id": 1, "value": 2}], [{"id": 2}, {"id": 3}]]
    run = crawl(tmp_path, pages, kind=kind, CONCURRENT_REQUESTS=1, **KEY)
    assert sorted(item["id"] for item in run.items) == [1, 2, 3]
    assert run.counts == {"scraped": 5, "exported": 3, "duplicate": 2}
    assert run.report["duplicates"]["count"] == 2


def test_without_a_key_nothing_is_a_duplicate_by_default(tmp_path: Path) -> None:
    pages = [[{"id": 1}, {"id": 1}, {"value": 1, "id": 1}], [{"id": 1, "value": 1}]]
    assert crawl(tmp_path, pages, T8_ITEM_KEY="").counts == {"scraped": 4, "exported": 4}
    (tmp_path / "items.jsonl").unlink()
    run = crawl(tmp_path, pages, T8_ITEM_KEY="", T8_DEDUP="all")
    assert run.counts == {"scraped": 4, "exported": 2, "duplicate": 2}
    (tmp_path / "items.jsonl").unlink()
    run = crawl(tmp_path, pages, T8_ITEM_KEY="", T8_DEDUP="all", T8_ITEM_KEY_EXCLUDE=["value"])
    assert run.items == [{"id": 1}]
    assert crawl(tmp_path, pages, T8_DEDUP="off", **KEY).counts == {"scraped": 4, "exported": 4}


@pytest.mark.parametrize("feed", ["items.jsonl", "items.csv", "items.json"])
def test_the_last_item_stays(tmp_path: Path, feed: str) -> None:
    pages: list[Any] = [[{"id": key, "value": page} for key in range(page, 4)] for page in range(3)]
    pages[2][-1]["do"] = "die"
    settings = {"T8_DEDUP_POLICY": "last", "FEEDS": {feed: {"format": feed[6:]}}, **FIFO, **KEY}
    assert crawl(tmp_path, pages, **settings).code == -signal.SIGKILL
    run = crawl(tmp_path, pages, **settings)
    assert [(item["id"], item["value"]) for item in run.items] == [(0, 0), (1, 1), (2, 2), (3, 2)]
    assert run.counts == {"scraped": 9, "exported": 4, "duplicate": 5}
    assert (tmp_path / feed).read_text().count("\n") >= 4


@prompt_callbacks
def test_a_changed_item_is_exported_with_its_changed_fields(tmp_path: Path) -> None:
    pages = [[{"id": 1, "value": "12"}], [{"id": 1, "value": "12"}], [{"id": 1, "value": "13"}], [{"id": 2}]]
    run = crawl(tmp_path, pages, T8_DEDUP_POLICY="changed", T8_CHANGED_FIELD="changes", **FIFO, **KEY)
    assert run.items == [
        {"id": 1, "value": "13", "changes": ["value"]},
        {"id": 1, "value": 12, "changes": []},
        {"id": 2, "changes": []},
    ]
    assert run.report["duplicates"] == {
        "count": 1,
        "changed": 1,
        "again": 0,
        "examples": [{"key": "1", "fields": []}, {"key": "1", "fields": ["value"]}],
    }


@prompt_callbacks
def test_an_item_that_changes_back_is_exported_too(tmp_path: Path) -> None:
    pages = [[{"id": 1, "value": value}] for value in "ABABBA"]
    run = crawl(tmp_path, pages, T8_DEDUP_POLICY="changed", T8_CHANGED_FIELD="changes", **FIFO, **KEY)
    assert [(item["value"], item["changes"]) for item in run.in_order] == [
        ("A", []),
        *[(value, ["value"]) for value in "BABA"],
    ]
    assert run.counts == {"scraped": 6, "exported": 5, "duplicate": 1}
    assert run.report["duplicates"]["changed"] == 4


def test_a_change_within_a_page_is_named(tmp_path: Path) -> None:
    pages = [[{"id": 1, "value": value} for value in "AAB"]]
    run = crawl(tmp_path, pages, T8_DEDUP_POLICY="changed", T8_CHANGED_FIELD="changes", CONCURRENT_ITEMS=1, **KEY)
    assert run.in_order == [
        {"id": 1, "value": "A", "changes": []},
        {"id": 1, "value": "B", "changes": ["value"]},
    ]
    assert run.counts == {"scraped": 3, "exported": 2, "duplicate": 1}
    assert run.report["duplicates"]["changed"] == 1


@prompt_callbacks
def test_changes_are_known_after_a_kill(tmp_path: Path) -> None:
    pages: list[Any] = [
        [{"id": 1, "value": 1}],
        [{"id": 1, "value": 2}, {"id": 2, "do": "die"}],
        [{"id": 1, "value": 2}],
    ]
    settings = {"T8_DEDUP_POLICY": "changed", "T8_CHANGED_FIELD": "changes", **FIFO, **KEY}
    assert crawl(tmp_path, pages, **settings).code == -signal.SIGKILL
    run = crawl(tmp_path, pages, **settings)
    assert [(item["value"], item["changes"]) for item in run.in_order if item["id"] == 1] == [
        (1, []),
        (2, ["value"]),
    ]
    assert run.counts == {"scraped": 4, "exported": 3, "duplicate": 1}


@pytest.mark.parametrize("policy", ["first", "last", "changed"])
def test_a_second_job_counts_its_own_items(tmp_path: Path, policy: str) -> None:
    settings = {"T8_DEDUP_SCOPE": "spider", "T8_DEDUP_POLICY": policy, **FIFO, **KEY}
    for value in (1, 2):
        (tmp_path / "items.jsonl").unlink(missing_ok=True)
        run = crawl(tmp_path, [[{"id": 1, "value": value}], [{"id": 2, "value": 0}]], **settings)
    brought = {"first": 0, "last": 2, "changed": 1}[policy]
    assert len(run.items) == brought
    assert run.counts.get("exported", 0) == brought
    assert run.counts["scraped"] == 2


@pytest.mark.parametrize("policy", ["first", "changed"])
def test_duplicates_of_an_earlier_job_are_no_drop_of_items(tmp_path: Path, policy: str) -> None:
    settings = {"T8_DEDUP_SCOPE": "spider", "T8_DEDUP_POLICY": policy, **KEY}
    for _ in range(2):
        run = crawl(tmp_path, [[{"id": number} for number in range(10)]], **settings)
    assert run.counts == {"scraped": 10, "duplicate": 10}
    assert [alert["name"] for alert in run.report["alerts"]] == []


def test_the_last_of_each_run_stays(tmp_path: Path) -> None:
    pages: list[Any] = [[{"id": 1, "value": 1}], [{"id": 1, "value": 2}, {"id": 2, "do": "die"}]]
    settings = {"T8_DEDUP_POLICY": "last", "T8_DEDUP_SCOPE": "run", "T8_COMMIT_INTERVAL": 0.01, **FIFO, **KEY}
    assert crawl(tmp_path, pages, **settings).code == -signal.SIGKILL
    run = crawl(tmp_path, pages, **settings)
    assert len(run.items) == run.counts["exported"]


def test_a_replaced_item_is_not_counted(tmp_path: Path) -> None:
    pages = [[{"id": 1, "do": "x"}, {"id": 2}], [{"id": 1, "value": 2}], [{"id": 2, "value": 2}]]
    run = crawl(tmp_path, pages, T8_DEDUP_POLICY="last", T8_REQUIRED_FIELDS=["value"], **FIFO, **KEY)
    assert [item["value"] for item in run.items] == [2, 2]
    assert run.counts == {"scraped": 4, "exported": 2, "duplicate": 2}
    assert run.report["coverage"] == [{"item": "dict", "count": 2, "fields": {"id": 1.0, "value": 1.0}}]
    assert run.report["validation"]["valid"] == 2


def test_how_long_a_key_is_remembered(tmp_path: Path) -> None:
    for scope, left in (("run", 2), ("job", 2), ("spider", 1)):
        work = tmp_path / scope
        work.mkdir()
        for value in (1, 2):
            run = crawl(work, [[{"id": 1, "value": value}]], T8_DEDUP_SCOPE=scope, T8_RESUME="continue", **KEY)
        assert len(run.items) == left, scope


def test_with_the_scope_run_keys_of_earlier_runs_are_forgotten(tmp_path: Path) -> None:
    for scope, left in (("run", 2), ("job", 1)):
        work = tmp_path / scope
        work.mkdir()
        # The second page is not settled at the kill.
        pages = [[{"id": 1}], [{"id": 1}, {"id": 2, "do": "die"}]]
        settings = {"T8_DEDUP_SCOPE": scope, "T8_COMMIT_INTERVAL": 0.01, **FIFO, **KEY}
        assert crawl(work, pages, **settings).code == -signal.SIGKILL
        run = crawl(work, pages, **settings)
        assert sum(item["id"] == 1 for item in run.items) == left, scope


def test_two_items_of_one_key_in_flight(tmp_path: Path) -> None:
    pages = [[{"id": 1, "value": page, "do": "slow"}] for page in range(4)]
    run = crawl(tmp_path, pages, **KEY)
    assert len(run.items) == 1
    assert run.counts == {"scraped": 4, "exported": 1, "duplicate": 3}


def test_a_dropped_item_makes_no_other_a_duplicate(tmp_path: Path) -> None:
    pages = [[{"id": 1, "do": "drop"}], [{"id": 1, "value": 2}], [{"id": 1, "value": 3, "do": "slow"}]]
    run = crawl(tmp_path, pages, **KEY)
    assert len(run.items) == 1
    assert run.items[0]["value"] in (2, 3)
    assert run.counts == {"scraped": 3, "exported": 1, "duplicate": 1, "dropped": 1}


def test_an_item_of_a_failed_page_makes_no_other_a_duplicate(tmp_path: Path) -> None:
    pages = [[{"id": 1, "value": 1, "do": "again"}], [{"id": 1, "value": 2}]]
    run = crawl(tmp_path, pages, **KEY)
    assert [item["value"] for item in run.items] == [2]
    assert run.counts == {"scraped": 2, "exported": 1, "duplicate": 1}


def test_a_kill_between_pipeline_and_page_loses_nothing(tmp_path: Path) -> None:
    pages = [[{"id": number, "value": page} for number in range(5)] for page in range(3)]
    pages[1][2]["do"] = "die"
    assert crawl(tmp_path, pages, **KEY).code == -signal.SIGKILL
    run = crawl(tmp_path, pages, **KEY)
    assert sorted(item["id"] for item in run.items) == list(range(5))
    assert run.counts == {"scraped": 15, "exported": 5, "duplicate": 10}
