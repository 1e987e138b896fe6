"""Writes since the last commit, which are undone after a crash."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from scrapy_t8.components.feeds.append_file import AppendFile
from scrapy_t8.components.feeds.undo_log import BegunFiles, UndoLog
from scrapy_t8.errors import FeedError


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def test_undoes_what_was_noted_after_the_commit(log: Path, tmp_path: Path) -> None:
    new, old, replaced, committed = (tmp_path / name for name in ("new", "old", "replaced", "committed"))
    for path in (old, replaced):
        path.write_bytes(b"before")
    first = UndoLog(log, 0)
    begin(first, committed)
    first.committing()
    noted = first.noted
    begin(first, new, old)
    begin(first, replaced, keep=False)

    UndoLog(log, noted).undo()

    assert not new.exists()
    assert old.read_bytes() == b"before"
    assert replaced.read_bytes() == b""
    assert committed.read_bytes() == b" and after"


def test_a_second_undo_does_nothing(log: Path, tmp_path: Path) -> None:
    begin(UndoLog(log, 0), tmp_path / "new")
    UndoLog(log, 0).undo()
    (tmp_path / "new").write_bytes(b"another one")
    UndoLog(log, 0).undo()
    assert (tmp_path / "new").exists()


def test_it_goes_on_counting_after_an_undo(log: Path, tmp_path: Path) -> None:
    first = UndoLog(log, 0)
    begin(first, tmp_path / "one")
    first.committing()
    begin(first, tmp_path / "two")
    second = UndoLog(log, first.noted - 2)
    second.undo()
    begin(second, tmp_path / "two")
    UndoLog(log, first.noted - 2).undo()
    assert (tmp_path / "one").exists()
    assert not (tmp_path / "two").exists()


def test_a_link_stays(log: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    begin(UndoLog(log, 0), tmp_path / "link")
    UndoLog(log, 0).undo()
    assert (tmp_path / "link").is_symlink()
    assert not (tmp_path / "target").exists()


def test_a_torn_line_was_followed_by_nothing(log: Path, tmp_path: Path) -> None:
    undo = UndoLog(log, 0, power=True)
    undo.note(tmp_path / "new", None, 0)
    with log.open("ab") as file:
        file.write(b'{"path": "/')
    UndoLog(log, undo.noted).undo()
    assert log.stat().st_size == 0


def test_a_write_that_was_cut_short_is_undone(log: Path, tmp_path: Path) -> None:
    begin(UndoLog(log, 0), tmp_path / "new")
    os.truncate(tmp_path / "new", 3)
    UndoLog(log, 0).undo()
    assert not (tmp_path / "new").exists()


def test_a_write_that_the_disk_has_lost_is_undone(log: Path, tmp_path: Path) -> None:
    undo = UndoLog(log, 0, power=True)
    file = AppendFile(tmp_path / "new", None, power=True, undo=undo)
    file.append(b"mine")
    file.flush()
    undo.committing()
    file.append(b" and more")
    file.flush()
    (tmp_path / "new").write_bytes(b"mine\0\0\0")
    UndoLog(log, undo.noted - 1).undo()
    assert (tmp_path / "new").read_bytes() == b"mine"


def test_a_file_that_was_to_be_replaced_may_still_be_there(log: Path, tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"before the job")
    undo = UndoLog(log, 0)
    AppendFile(tmp_path / "old", None, overwrite=True, undo=undo).append(b"short")
    (tmp_path / "old").write_bytes(b"before the job")
    UndoLog(log, 0).undo()
    assert (tmp_path / "old").read_bytes() == b""


def test_a_lost_log_undoes_nothing(log: Path) -> None:
    undo = UndoLog(log, 500)
    undo.undo()
    assert undo.noted == 500


def test_what_others_wrote_to_a_new_file_is_an_error(log: Path, tmp_path: Path) -> None:
    begin(UndoLog(log, 0), tmp_path / "new")
    with (tmp_path / "new").open("ab") as file:
        file.write(b" of others")
    with pytest.raises(FeedError, match="another program has appended to it after the crawl died"):
        UndoLog(log, 0).undo()
    assert (tmp_path / "new").read_bytes() == b" and after of others"


def test_committed_notes_do_not_pile_up(log: Path, tmp_path: Path) -> None:
    undo = UndoLog(log, 0)
    file = AppendFile(tmp_path / "feed", None, undo=undo)
    for _ in range(30):
        file.append(b"row\n")
        file.flush()
        undo.committing()
    file.append(b"row\n")
    (line,) = log.read_bytes().splitlines()
    assert json.loads(line)["write"] == undo.noted
    UndoLog(log, undo.noted - 1).undo()
    assert (tmp_path / "feed").read_bytes() == b"row\n" * 30


def begin(log: UndoLog, *paths: Path, keep: bool = True) -> None:
    """Write to files as a feed does."""
    for path in paths:
        AppendFile(path, None, overwrite=not keep, undo=log).append(b" and after")


def test_a_crash_of_a_release_that_noted_no_writes_is_undone(tmp_path: Path) -> None:
    log, feed, batch = tmp_path / "undo", tmp_path / "items.jsonl", tmp_path / "items-2.jsonl"
    committed = json.dumps({"path": str(feed), "length": None}).encode() + b"\n"
    log.write_bytes(committed + json.dumps({"path": str(batch), "length": None}).encode() + b"\n{torn")
    feed.write_bytes(b"kept\nlost\n")
    batch.write_bytes(b"lost\n")
    BegunFiles(log, len(committed)).undo_without_writes(feed, 5)
    assert feed.read_bytes() == b"kept\n"
    assert not batch.exists()


def test_files_are_noted_once_they_begin_and_dropped_without_a_commit(tmp_path: Path) -> None:
    log, feed = tmp_path / "undo", tmp_path / "items.jsonl"
    feed.write_bytes(b"before\n")
    files = BegunFiles(log, 0)
    files.note(feed, keep=True)
    again = BegunFiles(log, 0)
    again.note(feed, keep=False)
    assert [json.loads(line)["length"] for line in log.read_bytes().splitlines()] == [0]
    assert again.noted == len(log.read_bytes())


def test_a_note_of_another_file_is_refused(log: Path, tmp_path: Path) -> None:
    mine, theirs = tmp_path / "items.jsonl", tmp_path / "thesis.txt"
    theirs.write_text("precious")
    undo = UndoLog(log, 0)
    undo.note(mine, None, 5)
    undo.note(theirs, None, 100)
    with pytest.raises(FeedError, match=r"names .*thesis\.txt, which is not a file of this feed"):
        UndoLog(log, 0, owns=lambda path: path == str(mine)).undo()
    assert theirs.read_text() == "precious"


def test_a_feed_that_has_moved_is_undone_where_it_is(log: Path, tmp_path: Path) -> None:
    before, now = tmp_path / "before.jsonl", tmp_path / "now.jsonl"
    undo = UndoLog(log, 0)
    undo.note(before, 4, 8)
    for path in (before, now):
        path.write_bytes(b"one\ntwo\n")
    UndoLog(log, 0, owns=lambda path: path == str(now)).undo(now, 4, str(before))
    assert now.read_bytes() == b"one\n"
    assert before.read_bytes() == b"one\ntwo\n"


def test_what_an_old_release_noted_of_another_file_is_not_undone(tmp_path: Path) -> None:
    log, theirs = tmp_path / "undo", tmp_path / "thesis.txt"
    theirs.write_text("precious")
    log.write_text(json.dumps({"path": str(theirs), "length": None}) + "\n")
    (tmp_path / "items.jsonl").write_text("x")
    BegunFiles(log, 0).undo_without_writes(tmp_path / "items.jsonl", 1, lambda path: path.endswith("items.jsonl"))
    assert theirs.read_text() == "precious"
