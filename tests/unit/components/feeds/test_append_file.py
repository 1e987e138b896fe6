"""A file whose length is part of the commit."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scrapy_t8.components.feeds.append_file import HELD, AppendFile
from scrapy_t8.components.feeds.truncate import cut_back
from scrapy_t8.components.feeds.undo_log import UndoLog
from scrapy_t8.errors import FeedError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "feed"


class TestJournal:
    def test_appends_after_what_was_there(self, path: Path) -> None:
        path.write_bytes(b"old\n")
        journal = AppendFile(path, None)
        assert journal.length == 4
        journal.append(b"new\n")
        assert journal.length == 8
        assert path.read_bytes() == b"old\nnew\n"

    def test_overwrites_with_the_first_record_and_not_before(self, path: Path) -> None:
        path.write_bytes(b"old\n")
        journal = AppendFile(path, None, overwrite=True)
        assert journal.length is None
        assert path.read_bytes() == b"old\n"
        journal.append(b"new\n")
        journal.append(b"er\n")
        assert path.read_bytes() == b"new\ner\n"

    @pytest.mark.parametrize("overwrite", [True, False])
    def test_goes_on_from_the_committed_length(self, overwrite: bool, path: Path) -> None:
        path.write_bytes(b"one\ntwo\nto")
        journal = AppendFile(path, 4, overwrite=overwrite)
        assert path.read_bytes() == b"one\n"
        journal.append(b"2\n")
        assert path.read_bytes() == b"one\n2\n"

    def test_makes_directories_when_it_begins(self, tmp_path: Path) -> None:
        journal = AppendFile(tmp_path / "a" / "b" / "feed", None)
        assert not (tmp_path / "a").exists()
        journal.touch()
        assert (tmp_path / "a" / "b" / "feed").read_bytes() == b""

    def test_notices_what_others_append(self, path: Path) -> None:
        journal = AppendFile(path, None, overwrite=True)
        journal.append(b"mine\n")
        with path.open("ab") as other:
            other.write(b"theirs\n")
        with pytest.raises(FeedError, match="changed by another program while the crawl ran"):
            journal.append(b"mine\n")
        assert path.read_bytes() == b"mine\ntheirs\n"

    def test_an_error_of_the_disk_names_the_file_and_the_remedy(self, path: Path) -> None:
        path.parent.joinpath("file").touch()
        journal = AppendFile(path.parent / "file" / "feed", None)
        with pytest.raises(FeedError, match=r"cannot write the feed .*file/feed: .*File exists"):
            journal.touch()
        full = AppendFile(Path("/dev/full"), None)
        with pytest.raises(FeedError, match=r"cannot write the feed /dev/full: .*No space left.* Make space"):
            full.append(b"x")

    def test_notices_that_the_file_was_removed(self, path: Path) -> None:
        journal = AppendFile(path, None)
        journal.flush()
        journal.append(b"x")
        journal.flush()
        path.unlink()
        with pytest.raises(FeedError, match="removed while the crawl ran"):
            journal.flush()

    @pytest.mark.parametrize("harm", ["moved", "cut", "grown", "replaced", "other bytes"])
    def test_sees_at_the_end_what_has_become_of_the_file(self, harm: str, path: Path) -> None:
        journal = AppendFile(path, None)
        journal.append(b"one\ntwo\n")
        journal.check_at_end()
        {
            "moved": lambda: path.rename(path.with_name("away")),
            "cut": lambda: os.truncate(path, 4),
            "grown": lambda: path.write_bytes(b"one\ntwo\nmore"),
            "replaced": lambda: (path.unlink(), path.write_bytes(b"one\ntwo\n")),
            "other bytes": lambda: path.write_bytes(b"one\nTWO\n"),
        }[harm]()
        with pytest.raises(FeedError, match="another program has moved or changed it while the crawl ran"):
            journal.check_at_end()

    def test_a_file_that_never_had_anything_is_not_missed(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        assert AppendFile(path, 0).length == 0
        assert not caplog.records

    def test_knows_the_end_of_what_was_there(self, path: Path) -> None:
        path.write_bytes(b"x" * 2000)
        journal = AppendFile(path, 2000)
        assert journal.proof().change(path) == ""
        journal.append(b"yz")
        assert journal.proof().change(path) == ""
        os.truncate(path, 2001)
        assert journal.proof().change(path) == "shorter"

    def test_with_power_it_can_be_flushed_too(self, path: Path) -> None:
        journal = AppendFile(path, None, power=True)
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
        journal = AppendFile(path, 12)
        journal.append(b"x\n")
        journal.flush()
        assert os.read(reader, 10) == b"x\n"
        os.close(reader)
        assert not caplog.records


def test_cutting_back_a_missing_file_does_nothing(tmp_path: Path) -> None:
    cut_back(tmp_path / "no", 5)
    assert not (tmp_path / "no").exists()


def test_a_write_that_the_system_does_in_parts_is_completed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, bytes(data[:3])))
    log = path.with_name("log")
    journal = AppendFile(path, None, undo=UndoLog(log, 0))
    journal.append(b"a long row\n")
    journal.flush()
    assert path.read_bytes() == b"a long row\n"
    assert journal.length == 11
    assert log.read_bytes().endswith(b'"start": 0, "end": 11}\n')
