"""Every file of a job that was killed, damaged in every way: the result is right, or nothing says that it is."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.crawl import Run

from .crawls import KILLED, crawl
from .records import records

pytestmark = pytest.mark.slow

FEEDS = {
    "a.jsonl": {"format": "jsonlines", "overwrite": True},
    "b-%(batch_id)d.jsonl": {"format": "jsonlines", "batch_item_count": 7, "overwrite": True},
    "c.json": {"format": "json", "overwrite": True},
}
ALL = 97


def gone(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flipped(path: Path) -> None:
    """A byte in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 1] = bytes([data[len(data) // 2] ^ 0x20]) if data else b""
    path.write_bytes(data)


def garbage(path: Path) -> None:
    """A line in front, and one at the end."""
    path.write_bytes(b"Dear diary\n" + path.read_bytes() + b"[[[[ I was here\n")


def link(path: Path) -> None:
    """A link to a file of the user."""
    victim = path.parents[2] / "thesis.txt"
    victim.write_text("precious\n")
    path.unlink()
    path.symlink_to(victim)


NAMES = (
    *("state.db", "state.db-wal", "state.db-shm", "marks", "marks.commits", "holder", "lock", "items.spool"),
    *("a.undo", "a.writes", "b.undo", "b.writes"),
)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job whose process was killed after it had written to its feeds, and before the commit."""
    place = tmp_path_factory.mktemp("damage") / "now"
    place.mkdir()
    assert crawl(place, FEEDS, end="kill:commit:4").code == KILLED
    shutil.copytree(place, place.with_name("kept"), symlinks=True)
    return place


@pytest.fixture
def torn(killed: Path) -> Path:
    shutil.rmtree(killed)
    shutil.copytree(killed.with_name("kept"), killed, symlinks=True)
    return killed


def file_of(place: Path, name: str) -> Path:
    """Return a file of the job. The names of feed files contain random parts."""
    state = place / "job/t8"
    if not name.startswith(("a.", "b.")):
        return state / name
    logs = {path.stem: path for path in state.glob("feed-*.undo")}
    (stem,) = [stem for stem, path in logs.items() if f"/{name[0]}" in path.read_text().split('"path": "')[1]]
    return state / f"{stem}{name[1:]}"


@pytest.mark.parametrize("damage", [gone, cut, flipped, garbage, link])
@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_job_directory(name: str, damage: Callable[[Path], None], torn: Path) -> None:
    damage(file_of(torn, name))

    run = crawl(torn, FEEDS)

    assert "Traceback" not in run.log, run.log
    if is_right(torn):
        return
    assert run.stats.get("t8/verdict") != "complete", run.log
    said = [*run.at("CRITICAL"), *run.at("ERROR")]
    assert said, run.log
    if not run.stats.get("t8/verdict") or run.reason != "finished":
        # It was refused, or has stopped. The line names a way out, and that works.
        assert "fresh" in said[0] or "run the same command again" in said[0], said
        for link_ in (path for path in (torn / "job/t8").iterdir() if path.is_symlink()):
            link_.unlink()
        for path in torn.glob("*.json*"):
            path.unlink()
        again = crawl(torn, FEEDS, T8_RESUME="fresh")
        assert (again.reason, again.stats["t8/verdict"]) == ("finished", "complete"), again.log
        assert is_right(torn)
    victim = torn / "thesis.txt"
    assert not victim.exists() or victim.read_text() == "precious\n"


def is_right(place: Path) -> bool:
    """Whether each item stands in each feed once."""
    try:
        found = [records(place / name) for name in ("a.jsonl", "c.json")]
        batches = [records(path) for path in sorted(place.glob("b-*.jsonl"))]
    except (AssertionError, ValueError, FileNotFoundError):
        return False  # one is torn, or gone
    found.append(sum(batches[1:], batches[0]) if batches else Counter())
    return all(len(rows) == ALL and set(rows.values()) == {1} for rows in found)


# -- the feeds themselves ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [gone, cut, flipped, garbage])
@pytest.mark.parametrize("name", ["a.jsonl", "b-1.jsonl"])
def test_a_damaged_feed(name: str, damage: Callable[[Path], None], torn: Path) -> None:
    (torn / "c.json").unlink(missing_ok=True)
    damage(torn / name)

    run = crawl(torn, FEEDS)

    if not is_right(torn):
        assert run.stats["t8/verdict"] != "complete"
        assert any(name in line for line in [*run.at("CRITICAL"), *run.at("ERROR")])
    assert "Traceback" not in run.log


# -- feeds that items do not reach ------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["empty a.jsonl:page:9", "move a.jsonl:page:9"])
def test_a_feed_that_is_changed_while_the_crawl_runs(end: str, tmp_path: Path) -> None:
    feeds = {"a.jsonl": FEEDS["a.jsonl"]}
    runs: list[Run] = [crawl(tmp_path, feeds, end=end)]
    assert runs[0].stats["t8/verdict"] != "complete"
    while runs[-1].reason != "finished" or runs[-1].lines("but the job is not"):
        assert len(runs) < 4
        runs.append(crawl(tmp_path, feeds))
    there = records(tmp_path / "a.jsonl").total() if (tmp_path / "a.jsonl").exists() else 0
    assert there < ALL
    assert runs[-1].stats["t8/verdict"] == "unbalanced"
    assert runs[-1].stats.get("t8/items/exported", 0) == there


def test_items_that_no_feed_takes_are_not_exported(tmp_path: Path) -> None:
    for name, format_ in (("a.jsonl", "jsonlines"), ("c.json", "json")):
        place = tmp_path / format_
        place.mkdir()
        run = crawl(place, {name: {"format": format_, "item_filter": "feed_parts.Broken"}}, T8_EXIT_STATUS="1")
        there = records(place / name).total()
        assert run.reason == "finished"
        assert 0 < there < ALL
        assert (run.stats.get("t8/items/exported", 0), run.stats["t8/items/failed"]) == (there, ALL - there)
        assert (run.stats["t8/verdict"], run.code) == ("incomplete", 3)
        assert run.lines("not taken (Broken: ValueError: no price)")


def test_a_feed_that_scrapy_cannot_make(tmp_path: Path) -> None:
    run = crawl(tmp_path, {"a.jsonl": {"format": "jsonlines"}, "nowhere://a.json": {"format": "json"}})
    assert run.code == 1
    assert "no feed would be written, of a.jsonl, nowhere://a.json" in run.at("CRITICAL")[0]
    assert "Traceback" not in run.log


def test_what_a_failing_exporter_has_written_is_taken_back(tmp_path: Path) -> None:
    exporters = {"torn": "feed_parts.TornXml"}
    feeds = {"a.torn": {"format": "torn"}, "c.json": {"format": "json"}}
    run = crawl(tmp_path, feeds, FEED_EXPORTERS=exporters)
    assert run.reason == "finished"
    text = (tmp_path / "a.torn").read_text()
    assert 0 < text.count("<item>") == text.count("</item>") < ALL
    assert records(tmp_path / "c.json").total() == ALL
    assert run.stats["t8/verdict"] == "incomplete"
