"""What may happen to the feeds of a job between a kill and the next run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

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


@pytest.mark.parametrize("feeds", [{"other.jsonl": {"format": "jsonlines"}}, None])
def test_feeds_that_a_run_does_not_name_are_not_touched(feeds: Any, torn: Path) -> None:
    """Only settings and command say which files are feeds, whatever the job directory says."""
    before = {path: path.read_bytes() for path in torn.glob("*.*") if path.is_file()}

    run = crawl(torn, feeds)

    finished(run)
    assert all(path.read_bytes() == content for path, content in before.items())
    for name in ("a.jsonl", "b.csv", "at-%(batch_time)s.csv"):
        assert any(name.split("%")[0] in line for line in run.lines("is not named by this run"))
    assert run.stats["t8/verdict"] == "incomplete"
    if feeds:
        assert run.lines("when the feed other.jsonl was not named")
        assert set(records(torn / "a.jsonl") + records(torn / "other.jsonl")) == set(every(torn))


def every(torn: Path) -> set[str]:
    """What a crawl of its own has."""
    place = torn.with_name("whole")
    place.mkdir()
    crawl(place, {"a.jsonl": {"format": "jsonlines"}})
    return set(records(place / "a.jsonl"))


def test_a_feed_that_is_named_again_goes_on_where_it_was(torn: Path) -> None:
    """Rows that were never committed go then; and what has come meanwhile is missing, and counted."""
    with_others = {name: options for name, options in FEEDS.items() if name != "a.jsonl"}
    stopped = crawl(torn, with_others, CLOSESPIDER_PAGECOUNT=6)
    assert stopped.reason == "closespider_pagecount"

    run = crawl(torn, FEEDS)

    finished(run)
    written = records(torn / "a.jsonl")
    assert set(written.values()) == {1}
    (line,) = run.lines("when the feed a.jsonl was not named")
    assert f"{ALL - written.total()} items were exported" in line
    assert records(torn / "c.jsonl").total() == ALL


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


@pytest.mark.parametrize("accept", [[], ["feed:batches"]])
def test_batches_that_another_program_takes_away(torn: Path, accept: list[str]) -> None:
    next(torn.glob("one-*.jsonl")).unlink()

    run = crawl(torn, FEEDS, T8_ACCEPT=accept)

    assert ("FEED" in run.log, 'T8_ACCEPT = ["feed:batches"]' in run.log) == (not accept, not accept)
    assert run.stats["t8/verdict"] == ("complete" if accept else "incomplete")


def finished(run: Run) -> None:
    assert run.code == 0
    assert run.reason == "finished"
    assert not run.at("CRITICAL")


def test_a_feed_that_keeps_the_rows_of_a_job_that_was_given_up_says_so(torn: Path) -> None:
    """As in plain Scrapy, -o keeps what is there. Only feeds that keep something are named."""
    run = crawl(torn, FEEDS, T8_RESUME="fresh")

    finished(run)
    named = [line.partition("The feed ")[2].partition(" ")[0] for line in run.lines("before this job")]
    assert {"a.jsonl", "b.csv", "d.csv", "e.json"} <= set(named)
    assert "c.jsonl" not in named
