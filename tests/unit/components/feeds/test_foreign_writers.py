"""What another program appends to a feed is never cut off, and never taken for rows of this crawl.

In these tests, ``|`` is the committed length; small letters are the crawl's own, capitals are of another program.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scrapy_t8.components.feeds.append_file import AppendFile
from scrapy_t8.components.feeds.truncate import size
from scrapy_t8.components.feeds.undo_log import UndoLog
from scrapy_t8.errors import FeedError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "feed"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def write(there: str, path: Path, log: Path) -> tuple[int, int]:
    """Make the file *there*. Return its committed length, and what the commit has recorded of the log."""
    undo = UndoLog(log, 0)
    file = AppendFile(path, None, undo=undo)
    committed = 0, 0
    for letter in there:
        if letter == "|":
            file.flush()
            undo.committing()
            committed = size(path), undo.noted
        elif letter.islower():
            file.append(letter.encode())
        else:
            append(path, letter)
    return committed


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


@pytest.mark.parametrize(
    ("there", "left"), [("abc|", "abc"), ("abc|d", "abc"), ("abc|de", "abc"), ("abc|D", "abcD"), ("Abc|d", "Abc")]
)
def test_the_crawls_own_writes_are_cut_off(there: str, left: str, path: Path, log: Path) -> None:
    length, noted = write(there, path, log)
    path.chmod(0o640)
    undo = UndoLog(log, noted)
    undo.undo()

    assert AppendFile(path, length, undo=undo).length == len(left)
    assert path.read_text() == left
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("there", ["|dE", "abc|dE", "abc|deFG"])
def test_rows_of_another_program_after_them_are_an_error(there: str, path: Path, log: Path) -> None:
    length, noted = write(there, path, log)
    content = path.read_text()
    for _ in range(2):
        with pytest.raises(FeedError) as refused:
            UndoLog(log, noted).undo()
        assert path.read_text() == content
    foreign = sum(letter.isupper() for letter in there)
    assert f"the feed {path} has {foreign} bytes more than this crawl has written" in str(refused.value)
    assert f"truncate -s {length} {path}" in str(refused.value)

    os.truncate(path, length)
    UndoLog(log, noted).undo()
    assert AppendFile(path, length, undo=UndoLog(log, noted)).length == length


@pytest.mark.parametrize("how", ["append", "flush"])
def test_so_they_are_while_the_crawl_runs(how: str, path: Path, log: Path) -> None:
    file = AppendFile(path, None, undo=UndoLog(log, 0))
    file.append(b"mine")
    append(path, "THEIRS")
    with pytest.raises(FeedError, match="changed by another program while the crawl ran: it has 10 bytes instead of 4"):
        file.append(b"x") if how == "append" else file.flush()
    assert path.read_text() == "mineTHEIRS"


def test_rows_that_were_appended_between_two_runs_stay(path: Path, log: Path) -> None:
    length, noted = write("abc|", path, log)
    append(path, "DE")
    undo = UndoLog(log, noted)
    undo.undo()
    file = AppendFile(path, length, undo=undo)
    file.append(b"f")
    file.flush()
    assert path.read_text() == "abcDEf"


def test_rows_that_were_appended_before_the_first_write_stay(path: Path, log: Path) -> None:
    file = AppendFile(path, None, undo=UndoLog(log, 0))
    append(path, "FIRST")
    file.append(b"mine")
    file.flush()
    UndoLog(log, 0).undo()
    assert path.read_text() == "FIRST"
