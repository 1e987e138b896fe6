"""Items that are not as they should be, and validators of the project."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from scrapy_t8 import open_dead_letters
from scrapy_t8.model.dead_letter import LetterFilter

from .crawls import crawl

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
