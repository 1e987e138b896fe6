"""One callback that yields very many items: bounded memory, and exactly once."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from .crawls import KILLED, crawl

pytestmark = pytest.mark.slow

MANY = 10_000
GROWTH = 60 << 20
"""Bytes. All items of the page are twice as many, and more while they are objects."""


def test_memory_stays_bounded_and_each_item_is_written_once(tmp_path: Path) -> None:
    feeds = {"items.jsonl": {"format": "jsonlines"}}
    page = ("-a", f"count={MANY}", "-a", "width=12000")
    assert crawl(tmp_path, feeds, *page, spider="huge", end=f"kill:item:{MANY // 10}").code == KILLED
    assert not (tmp_path / "items.jsonl").exists()

    run = crawl(tmp_path, feeds, *page, spider="huge")

    assert run.reason == "finished"
    assert run.stats["grown"] < GROWTH
    assert numbers(tmp_path / "items.jsonl") == MANY


def test_a_page_of_many_megabytes_that_was_killed_while_it_was_written(tmp_path: Path) -> None:
    feeds = {
        "items.jsonl": {"format": "jsonlines"},
        "batch-%(batch_id)d.csv": {"format": "csv", "batch_item_count": 360},
        "items.json": {"format": "json"},
    }
    page = ("-a", "count=4000", "-a", "width=2500")
    assert crawl(tmp_path, feeds, *page, spider="huge", end="kill:commit:1").code == KILLED
    assert (tmp_path / "items.jsonl").stat().st_size > 10_000_000
    assert len(list(tmp_path.glob("batch-*"))) == 12

    run = crawl(tmp_path, feeds, *page, spider="huge")

    assert run.reason == "finished"
    assert run.stats["grown"] < GROWTH
    assert numbers(tmp_path / "items.jsonl") == numbers(tmp_path / "items.json") == 4_000
    assert sorted(path.read_bytes().count(b"\n") - 1 for path in tmp_path.glob("batch-*")) == [40] + 11 * [360]


def numbers(path: Path) -> int:
    """How many items there are, all of them in their order, without reading the file into memory at once."""
    expected = count()
    found = 0
    with path.open() as file:
        for line in file:
            if line.startswith("{"):
                assert line.startswith(f'{{"n": {next(expected)},'), line[:40]
                found += 1
    return found
