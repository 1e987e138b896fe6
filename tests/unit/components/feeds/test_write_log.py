"""What a job has written itself, and what others have appended to the same file.

In these tests, ``|`` is the committed length; small letters are the job's own, capitals are of others.
"""

from __future__ import annotations

import os
from pathlib import Path
from zlib import crc32

import pytest

from scrapy_t8.components.feeds.append_file import AppendFile
from scrapy_t8.components.feeds.write_log import WriteLog


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "feed"


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
def test_only_the_jobs_own_writes_are_cut_off(there: str, left: str, path: Path) -> None:
    ends = path.with_name("ends")
    reach = WriteLog(ends)
    journal = AppendFile(path, None, reach=reach)
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

    cut = AppendFile(path, length, reach=WriteLog(ends))

    assert path.read_text() == left
    assert cut.length == len(left)
    assert path.stat().st_mode & 0o777 == 0o640
    assert not list(path.parent.glob(".*"))


def test_others_are_mentioned(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    reach = WriteLog(path.with_name("ends"))
    AppendFile(path, None, reach=reach).append(b"mine")
    with path.open("a") as file:
        file.write("theirs")
    AppendFile(path, 0, reach=WriteLog(path.with_name("ends")))
    (record,) = caplog.records
    assert "Somebody else has written to the feed" in record.getMessage()


def test_once_is_enough(path: Path) -> None:
    ends = path.with_name("ends")
    AppendFile(path, None, reach=WriteLog(ends)).append(b"mine")
    reach = WriteLog(ends)
    AppendFile(path, 0, reach=reach)
    reach.undone()
    path.write_text("theirs")
    assert WriteLog(ends).own(path, 0) == []


def test_a_write_that_was_cut_short_is_its_own(path: Path) -> None:
    ends = path.with_name("ends")
    AppendFile(path, None, reach=WriteLog(ends)).append(b"mine and more")
    os.truncate(path, 6)
    assert WriteLog(ends).own(path, 0) == [(0, 6)]


def test_so_is_one_that_the_disk_has_lost(path: Path) -> None:
    ends = path.with_name("ends")
    journal = AppendFile(path, None, power=True, reach=WriteLog(ends, power=True))
    journal.append(b"mine")
    journal.flush()
    path.write_bytes(b"\0\0\0\0")
    assert WriteLog(ends).own(path, 0) == [(0, 4)]


def test_it_can_be_told_in_a_copy(path: Path) -> None:
    ends = path.with_name("ends")
    AppendFile(path, None, reach=WriteLog(ends)).append(b"mine")
    copy = path.with_name("copy")
    copy.write_bytes(b"minetheirs")
    assert WriteLog(ends).own(copy, 0) == [(0, 4)]
    copy.write_bytes(b"not mine")
    assert WriteLog(ends).own(copy, 0) == []


def test_each_file_has_its_own(path: Path) -> None:
    path.with_name("next").write_bytes(b"mine")
    reach = WriteLog(path.with_name("ends"))
    for name in ("feed", "next"):
        AppendFile(path.with_name(name), None, reach=reach).append(b"mine")
    noted = WriteLog(path.with_name("ends"))
    assert noted.own(path, 0) == [(0, 4)]
    assert noted.own(path.with_name("next"), 4) == [(4, 8)]


def test_a_torn_note_tells_nothing(path: Path) -> None:
    path.write_text("mine")
    path.with_name("ends").write_bytes(WriteLog.RECORD.pack(2, 3, crc32(b"n")) + b"torn")
    assert WriteLog(path.with_name("ends")).own(path, 2) == [(2, 3)]
