"""What may happen to the feeds of a job between a kill and the next run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.crawl import Run

from .crawls import KILLED, crawl
from .records import records

pytestmark = pytest.mark.slow

FEEDS = {
    "a.jsonl": {"format": "jsonlines"},
    "b.csv": {"format": "csv", "encoding": "utf-8-sig"},
    "c.jsonl": {"format": "jsonlines", "overwrite": True},
    "d.csv": {"format": "csv"},
    "one-%(batch_id)d.jsonl": {"format": "jsonlines", "batch_item_count": 1},
    "at-%(batch_time)s.csv": {"format": "csv", "batch_item_count": 5},
    "e.json": {"format": "json"},
}
ALL = 97


@pytest.fixture(scope="module")
def killed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job whose process was killed after it had written to its feeds, and before the commit."""
    place = tmp_path_factory.mktemp("between") / "now"
    place.mkdir()
    (place / "e.json").write_text("[]")
    assert crawl(place, FEEDS, end="kill:commit:4").code == KILLED
    shutil.copytree(place, place.with_name("kept"))
    return place


@pytest.fixture
def torn(killed_once: Path) -> Path:
    """The same, in the same place, for each test anew."""
    shutil.rmtree(killed_once)
    shutil.copytree(killed_once.with_name("kept"), killed_once)
    return killed_once


def test_other_feeds_cut_uncommitted_rows_off_the_old_ones(torn: Path) -> None:
    before = records(torn / "a.jsonl")
    other = {"other.jsonl": {"format": "jsonlines"}}

    finished(crawl(torn, other))

    old, new = records(torn / "a.jsonl"), records(torn / "other.jsonl")
    assert old.total() < before.total()
    assert set((old + new).values()) == {1}
    assert (old + new).total() == ALL
    assert records(torn / "c.jsonl") == old
    assert {path.name for path in torn.glob("one-*")} == {f"one-{n}.jsonl" for n in range(1, old.total() + 1)}
    assert sum(records(path).total() - 1 for path in torn.glob("at-*")) == old.total()


def test_a_run_without_feeds_cuts_uncommitted_rows_off(torn: Path) -> None:
    before = (torn / "a.jsonl").read_bytes()

    finished(crawl(torn))

    after = (torn / "a.jsonl").read_bytes()
    assert before.startswith(after)
    assert before != after


def test_a_run_without_items_cuts_uncommitted_rows_off(torn: Path) -> None:
    before = (torn / "a.jsonl").read_bytes()

    finished(crawl(torn, FEEDS, switch="silent"))

    after = (torn / "a.jsonl").read_bytes()
    assert before.startswith(after)
    assert before != after
    assert (torn / "e.json").read_text().startswith("[][")
    assert records(torn / "e.json").total() == records(torn / "a.jsonl").total()


def test_feeds_changed_between_runs_are_named(torn: Path) -> None:
    for name in ("a.jsonl", "b.csv", "e.json"):
        (torn / name).unlink()
    kept = (torn / "c.jsonl").read_bytes().partition(b"\n")[0] + b"\n"
    (torn / "c.jsonl").write_bytes(kept)
    (torn / "d.csv").write_bytes(b"")

    run = crawl(torn, FEEDS)

    finished(run)
    assert len(run.at("ERROR")) == 5
    for name in ("a.jsonl", "b.csv", "c.jsonl", "d.csv", "e.json"):
        assert sum(name in line for line in run.at("ERROR")) == 1
    assert "Traceback" not in run.log
    rest = records(torn / "a.jsonl")
    assert (torn / "c.jsonl").read_bytes() == kept + (torn / "a.jsonl").read_bytes()
    for name, mark in (("b.csv", b"\xef\xbb\xbf"), ("d.csv", b"")):
        assert (torn / name).read_bytes().startswith(mark + b"id,name,price,tags\r\n")
        assert records(torn / name).total() == rest.total() + 1
    assert records(torn / "e.json").total() == ALL


def finished(run: Run) -> None:
    assert run.code == 0
    assert run.reason == "finished"
    assert not run.at("CRITICAL")
