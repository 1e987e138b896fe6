"""Feeds that are rewritten at the end of each run: what is in them while the job is unfinished."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.crawl import OWN_FILES

from .conftest import Snapshots
from .crawls import KILLED, crawl, files
from .feed_options import BATCH, WHOLE
from .records import records

pytestmark = pytest.mark.slow

COMPLETE = [
    "plain.json",
    "plain.xml",
    "plain.pickle",
    "plain.marshal",
    "over.json",
    "elsewhere/link.json",
    "packed.jsonl.gz",
    "remote/remote.jsonl",
]
"""Whole feeds of every item, with no more in each record than the record itself."""


@pytest.mark.parametrize("name", COMPLETE)
def test_a_stopped_run_leaves_all_items_so_far(name: str, stopped: Snapshots) -> None:
    for directory in stopped.after:
        written = records(directory / name)
        assert set(written.values()) == {1}
        assert written.total() == records(directory / "plain.jsonl").total()


def test_rewritten_batches_are_full_but_the_last(stopped: Snapshots) -> None:
    for directory in stopped.after:
        items = records(directory / "plain.jsonl").total()
        whole = -(-items // BATCH)
        for pattern in ("seven-{}.json", "remote/seven-{}.csv", "at-#{}.xml"):
            found = files(directory)
            batches = [found[pattern.format(number)] for number in range(1, whole + 1)]
            assert pattern.format(whole + 1) not in found
            headers = len(batches) if pattern.endswith("csv") else 0
            assert sum(records(path).total() for path in batches) == items + headers


def test_a_killed_run_changes_no_rewritten_feed(killed: Snapshots) -> None:
    for directory in killed.after[:-1]:
        written = {path.name for path in files(directory).values()}
        there = {"over.json", "old.json", "private.json"}
        assert written & set(WHOLE) == there
        assert (directory / "over.json").read_text().startswith("id,left")
        assert (directory / "private.json").read_text() == "old\n"


def test_old_content_of_a_feed_stays_in_front(stopped: Snapshots, killed: Snapshots) -> None:
    for directory in (*stopped.after, *killed.after):
        assert (directory / "old.json").read_bytes().startswith(b'[\n{"id": "old"}\n]')


def test_no_half_written_file_stays(undisturbed: Snapshots, stopped: Snapshots, killed: Snapshots) -> None:
    for snapshots in (undisturbed, stopped, killed):
        hidden = [path.name for path in Path(snapshots.directory).rglob(".*") if path.name not in OWN_FILES]
        assert not hidden


def test_feeds_are_whole_when_the_spider_is_closed(tmp_path: Path) -> None:
    """Plain Scrapy stores them later. Also after a stop, after a kill, and in the next job, which replaces the file."""
    feeds = {"whole.json": {"format": "json", "overwrite": True}, "lines.jsonl": {"format": "jsonlines"}}
    notes = tmp_path / ".runs/notes"
    crawl(tmp_path, feeds, spider="reading", end="stop:page:9")
    stopped = notes.read_text().splitlines()[1:]
    assert len(stopped) == 2
    assert len(set(stopped)) == 1
    _, lines, whole = stopped[0].split()
    assert lines == whole
    assert crawl(tmp_path, feeds, spider="reading", end="kill:closed").code == KILLED
    for items in (97, 2 * 97):
        crawl(tmp_path, feeds, spider="reading")
        assert notes.read_text().splitlines()[-2:] == [f"read {items} 97"] * 2
