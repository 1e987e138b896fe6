"""A file whose length is part of the commit, and the log of the files that begin in the middle of one."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from zlib import crc32

import pytest

from scrapy_t8.errors import FeedError
from scrapy_t8.feeds.files import cut_back
from scrapy_t8.feeds.journal import HELD, Journal
from scrapy_t8.feeds.reach import Reach
from scrapy_t8.feeds.undo import UndoLog


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "feed"


class TestJournal:
    def test_appends_after_what_was_there(self, path: Path) -> None:
        path.write_bytes(b"old\n")
        journal = Journal(path, None)
        assert journal.length == 4
        journal.append(b"new\n")
        assert journal.length == 8
        assert path.read_bytes() == b"old\nnew\n"

    def test_overwrites_with_the_first_record_and_not_before(self, path: Path) -> None:
        path.write_bytes(b"old\n")
        journal = Journal(path, None, overwrite=True)
        assert journal.length is None
        assert path.read_bytes() == b"old\n"
        journal.append(b"new\n")
        journal.append(b"er\n")
        assert path.read_bytes() == b"new\ner\n"

    @pytest.mark.parametrize("overwrite", [True, False])
    def test_goes_on_from_the_committed_length(self, overwrite: bool, path: Path) -> None:
        path.write_bytes(b"one\ntwo\nto")
        journal = Journal(path, 4, overwrite=overwrite)
        assert path.read_bytes() == b"one\n"
        journal.append(b"2\n")
        assert path.read_bytes() == b"one\n2\n"

    def test_makes_directories_when_it_begins(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path / "a" / "b" / "feed", None)
        assert not (tmp_path / "a").exists()
        journal.touch()
        assert (tmp_path / "a" / "b" / "feed").read_bytes() == b""

    def test_keeps_what_others_append(self, path: Path) -> None:
        journal = Journal(path, None, overwrite=True)
        journal.append(b"mine\n")
        with path.open("ab") as other:
            other.write(b"theirs\n")
        journal.append(b"mine\n")
        assert path.read_bytes() == b"mine\ntheirs\nmine\n"

    def test_notices_that_the_file_was_removed(self, path: Path) -> None:
        journal = Journal(path, None)
        journal.flush()
        journal.append(b"x")
        journal.flush()
        path.unlink()
        with pytest.raises(FeedError, match="removed while the crawl ran"):
            journal.flush()

    def test_says_that_the_file_is_gone(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        journal = Journal(path, 12)
        assert journal.length == 0
        assert [record.getMessage() for record in caplog.records] == [
            f"The feed {path} is gone, with 12 bytes of an earlier run: it begins anew"
        ]

    def test_a_file_that_never_had_anything_is_not_missed(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        assert Journal(path, 0).length == 0
        assert not caplog.records

    def test_says_that_the_file_is_shorter(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        path.write_bytes(b"12345")
        assert Journal(path, 12).length == 5
        (record,) = caplog.records
        assert record.levelno == logging.ERROR
        assert "has 7 bytes less than at the last commit" in record.getMessage()

    def test_with_power_it_can_be_flushed_too(self, path: Path) -> None:
        journal = Journal(path, None, power=True)
        journal.append(b"x")
        journal.append(b"y" * HELD)
        assert journal.length == HELD + 1
        journal.append(b"z")
        journal.flush()
        journal.close()
        journal.flush()
        assert path.read_bytes() == b"x" + b"y" * HELD + b"z"

    def test_a_pipe_has_no_length(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        journal = Journal(path, 12)
        journal.append(b"x\n")
        journal.flush()
        assert os.read(reader, 10) == b"x\n"
        os.close(reader)
        assert not caplog.records


class TestUndoLog:
    @pytest.fixture
    def log(self, tmp_path: Path) -> Path:
        return tmp_path / "log"

    @pytest.fixture
    def ends(self, tmp_path: Path) -> Path:
        return tmp_path / "ends"

    def test_undoes_what_was_noted_after_the_commit(self, log: Path, ends: Path, tmp_path: Path) -> None:
        new, old, replaced, committed = (tmp_path / name for name in ("new", "old", "replaced", "committed"))
        for path in (old, replaced):
            path.write_bytes(b"before")
        reach = Reach(ends)
        first = UndoLog(log, 0, reach)
        begin(first, reach, committed)
        noted = first.noted
        begin(first, reach, new, old)
        begin(first, reach, replaced, keep=False)

        assert UndoLog(log, noted, Reach(ends)).noted == noted

        assert not new.exists()
        assert old.read_bytes() == b"before"
        assert replaced.read_bytes() == b""
        assert committed.read_bytes() == b" and after"

    def test_once_is_enough(self, log: Path, ends: Path, tmp_path: Path) -> None:
        begin(UndoLog(log, 0, Reach(ends)), Reach(ends), tmp_path / "new")
        UndoLog(log, 0, Reach(ends))
        (tmp_path / "new").write_bytes(b"another one")
        UndoLog(log, 0, Reach(ends))
        assert (tmp_path / "new").exists()

    def test_a_link_stays(self, log: Path, ends: Path, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to("target")
        begin(UndoLog(log, 0, Reach(ends)), Reach(ends), tmp_path / "link")
        UndoLog(log, 0, Reach(ends))
        assert (tmp_path / "link").is_symlink()
        assert not (tmp_path / "target").exists()

    def test_a_torn_line_was_followed_by_nothing(self, log: Path, ends: Path, tmp_path: Path) -> None:
        undo = UndoLog(log, 0, Reach(ends), power=True)
        undo.note(tmp_path / "new", keep=True)
        with log.open("ab") as file:
            file.write(b'{"path": "/')
        assert UndoLog(log, undo.noted, Reach(ends)).noted == undo.noted
        assert log.stat().st_size == undo.noted

    def test_a_lost_log_begins_anew(self, log: Path, ends: Path) -> None:
        assert UndoLog(log, 500, Reach(ends)).noted == 0

    def test_what_others_wrote_to_a_new_file_stays(self, log: Path, ends: Path, tmp_path: Path) -> None:
        begin(UndoLog(log, 0, Reach(ends)), Reach(ends), tmp_path / "new")
        with (tmp_path / "new").open("ab") as file:
            file.write(b" of others")
        UndoLog(log, 0, Reach(ends))
        assert (tmp_path / "new").read_bytes() == b" of others"


def begin(log: UndoLog, reach: Reach, *paths: Path, keep: bool = True) -> None:
    """Write to files as a feed does."""
    for path in paths:
        log.note(path, keep=keep)
        Journal(path, None, overwrite=not keep, reach=reach).append(b" and after")


class TestReach:
    """``|`` is the committed length; small letters are the job's own, capitals are of others."""

    @pytest.mark.parametrize(
        ("there", "left"),
        [
            ("abc|", "abc"),
            ("abc|d", "abc"),
            ("abc|D", "abcD"),
            ("abc|dE", "abcE"),
            ("abc|Def", "abcD"),
            ("abc|dEf", "abcE"),
            ("abc|dEfGhI", "abcEGI"),
            ("aBc|DEf", "aBcDE"),
        ],
    )
    def test_only_the_jobs_own_writes_are_cut_off(self, there: str, left: str, path: Path) -> None:
        ends = path.with_name("ends")
        reach = Reach(ends)
        journal = Journal(path, None, reach=reach)
        length = 0
        for letter in there:
            if letter == "|":
                journal.flush()
                reach.flush()
                length = path.stat().st_size
            elif letter.islower():
                journal.append(letter.encode())
            else:
                with path.open("a") as file:
                    file.write(letter)
        path.chmod(0o640)

        cut = Journal(path, length, reach=Reach(ends))

        assert path.read_text() == left
        assert cut.length == len(left)
        assert path.stat().st_mode & 0o777 == 0o640
        assert not list(path.parent.glob(".*"))

    def test_others_are_mentioned(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        reach = Reach(path.with_name("ends"))
        Journal(path, None, reach=reach).append(b"mine")
        with path.open("a") as file:
            file.write("theirs")
        Journal(path, 0, reach=Reach(path.with_name("ends")))
        (record,) = caplog.records
        assert "Somebody else has written to the feed" in record.getMessage()

    def test_once_is_enough(self, path: Path) -> None:
        ends = path.with_name("ends")
        Journal(path, None, reach=Reach(ends)).append(b"mine")
        reach = Reach(ends)
        Journal(path, 0, reach=reach)
        reach.undone()
        path.write_text("theirs")
        assert Reach(ends).own(path, 0) == []

    def test_a_write_that_was_cut_short_is_its_own(self, path: Path) -> None:
        ends = path.with_name("ends")
        Journal(path, None, reach=Reach(ends)).append(b"mine and more")
        os.truncate(path, 6)
        assert Reach(ends).own(path, 0) == [(0, 6)]

    def test_so_is_one_that_the_disk_has_lost(self, path: Path) -> None:
        ends = path.with_name("ends")
        journal = Journal(path, None, power=True, reach=Reach(ends, power=True))
        journal.append(b"mine")
        journal.flush()
        path.write_bytes(b"\0\0\0\0")
        assert Reach(ends).own(path, 0) == [(0, 4)]

    def test_it_can_be_told_in_a_copy(self, path: Path) -> None:
        ends = path.with_name("ends")
        Journal(path, None, reach=Reach(ends)).append(b"mine")
        copy = path.with_name("copy")
        copy.write_bytes(b"minetheirs")
        assert Reach(ends).own(copy, 0) == [(0, 4)]
        copy.write_bytes(b"not mine")
        assert Reach(ends).own(copy, 0) == []

    def test_each_file_has_its_own(self, path: Path) -> None:
        path.with_name("next").write_bytes(b"mine")
        reach = Reach(path.with_name("ends"))
        for name in ("feed", "next"):
            Journal(path.with_name(name), None, reach=reach).append(b"mine")
        noted = Reach(path.with_name("ends"))
        assert noted.own(path, 0) == [(0, 4)]
        assert noted.own(path.with_name("next"), 4) == [(4, 8)]

    def test_a_torn_note_tells_nothing(self, path: Path) -> None:
        path.write_text("mine")
        path.with_name("ends").write_bytes(Reach.RECORD.pack(2, 3, crc32(b"n")) + b"torn")
        assert Reach(path.with_name("ends")).own(path, 2) == [(2, 3)]


def test_cutting_back_what_is_not_there_does_nothing(tmp_path: Path) -> None:
    cut_back(tmp_path / "no", 5)
    assert not (tmp_path / "no").exists()
