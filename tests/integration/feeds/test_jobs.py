"""Jobs one after another, jobs side by side, and the options of the command line."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tests.support.crawl import Crawl

from .crawls import KILLED, PROJECT, crawl
from .records import head, records

pytestmark = pytest.mark.slow

ALL = 97


def test_after_a_finished_job_a_new_one_overwrites_or_appends(tmp_path: Path) -> None:
    formats = {"jsonl": "jsonlines", "csv": "csv", "json": "json"}
    feeds = {
        f"{name}.{suffix}": {"format": kind, "overwrite": name == "over"}
        for name in ("over", "append")
        for suffix, kind in formats.items()
    }
    feeds["batch-%(batch_id)d.jsonl"] = {"format": "jsonlines", "batch_item_count": 60, "overwrite": True}

    for _ in range(2):
        assert crawl(tmp_path, feeds).reason == "finished"

    for suffix in ("jsonl", "json"):
        assert set(records(tmp_path / f"over.{suffix}").values()) == {1}
        assert set(records(tmp_path / f"append.{suffix}").values()) == {2}
        assert records(tmp_path / f"over.{suffix}").total() == ALL
    assert records(tmp_path / "over.csv").total() == ALL + 1
    # As in plain Scrapy, each job begins with its header.
    assert (tmp_path / "append.csv").read_bytes().count(head(tmp_path / "append.csv")) == 2
    assert [records(tmp_path / f"batch-{number}.jsonl").total() for number in (1, 2)] == [60, 37]


@pytest.mark.parametrize(("option", "before"), [("-o", 1), ("-O", 0)])
def test_options_of_the_command_line(option: str, before: int, tmp_path: Path) -> None:
    options = [part for name in ("items.jsonl", "items.json", "odd:csv", "-:json") for part in (option, name)]
    (tmp_path / "items.jsonl").write_text("{}\n")
    (tmp_path / "items.json").write_text("[{}]")
    (tmp_path / "odd").write_text("before\n")

    assert crawl(tmp_path, None, *options, end="kill:commit:5").code == KILLED
    run = crawl(tmp_path, None, *options)

    assert run.reason == "finished"
    assert len(json.loads(run.output)) == ALL, "standard output is written whole, by each run that ends"
    for name in ("items.jsonl", "items.json"):
        written = records(tmp_path / name)
        assert set(written.values()) == {1}
        assert written.total() == ALL + before
    rows = (tmp_path / "odd").read_bytes().splitlines()
    assert rows[:before] == [b"before"] * before
    assert rows[before] == b"id,name,price,tags"
    assert len(set(rows)) == len(rows) == ALL + 1 + before


def test_two_spiders_one_after_the_other_to_the_same_files(tmp_path: Path) -> None:
    feeds = {"all.jsonl": {"format": "jsonlines"}, "all.csv": {"format": "csv"}}
    page = ("-a", "count=50")
    assert crawl(tmp_path, feeds, end="kill:commit:5").code == KILLED
    assert crawl(tmp_path, feeds, *page, spider="huge", JOBDIR="other").reason == "finished"

    refused = crawl(tmp_path, feeds)

    assert refused.reason == "t8_feed_failed"
    (line,) = refused.at("CRITICAL")
    assert "another program has appended to it after the crawl died" in line
    assert records(tmp_path / "all.jsonl").total() > 50

    for _ in feeds:
        length, name = re.findall(r"truncate -s (\d+) (.+?)\)", line)[0]
        move_last_rows(Path(name), 50, int(length))
        run = crawl(tmp_path, feeds)
        if run.reason == "finished":
            break
        (line,) = run.at("CRITICAL")

    assert run.reason == "finished"
    for name in feeds:
        written = records(tmp_path / name)
        assert set(written.values()) == {1}
        assert written.total() == ALL + (name == "all.csv")
        assert (tmp_path / f"{name}.other").read_bytes().count(b"\n") == 50


def move_last_rows(path: Path, rows: int, length: int) -> None:
    """Do what the message says: the rows of the other program go to another file, the feed is cut back."""
    path.with_name(f"{path.name}.other").write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[-rows:]))
    os.truncate(path, length)


def test_two_spiders_in_one_process(tmp_path: Path) -> None:
    two = Crawl(PROJECT, None, tmp_path)
    two.script = ("two_spiders.py",)
    for end, code in (("kill:page:12", KILLED), ("", 0)):
        run = two.run(end=end)
        assert run.code == code, run.log

    for name in ("shop.jsonl", "shop.json", "second.jsonl", "second.json"):
        assert records(tmp_path / name).total() == len(records(tmp_path / name)) == ALL
