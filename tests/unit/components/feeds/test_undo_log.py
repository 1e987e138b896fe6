"""Files that began in the middle of a commit, and are undone after a crash."""

from __future__ import annotations

from pathlib import Path

import pytest

from scrapy_t8.components.feeds.append_file import AppendFile
from scrapy_t8.components.feeds.undo_log import UndoLog
from scrapy_t8.components.feeds.write_log import WriteLog


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def ends(tmp_path: Path) -> Path:
    return tmp_path / "ends"


def test_undoes_what_was_noted_after_the_commit(log: Path, ends: Path, tmp_path: Path) -> None:
    new, old, replaced, committed = (tmp_path / name for name in ("new", "old", "replaced", "committed"))
    for path in (old, replaced):
        path.write_bytes(b"before")
    reach = WriteLog(ends)
    first = UndoLog(log, 0, reach)
    begin(first, reach, committed)
    noted = first.noted
    begin(first, reach, new, old)
    begin(first, reach, replaced, keep=False)

    assert UndoLog(log, noted, WriteLog(ends)).noted == noted

    assert not new.exists()
    assert old.read_bytes() == b"before"
    assert replaced.read_bytes() == b""
    assert committed.read_bytes() == b" and after"


def test_once_is_enough(log: Path, ends: Path, tmp_path: Path) -> None:
    begin(UndoLog(log, 0, WriteLog(ends)), WriteLog(ends), tmp_path / "new")
    UndoLog(log, 0, WriteLog(ends))
    (tmp_path / "new").write_bytes(b"another one")
    UndoLog(log, 0, WriteLog(ends))
    assert (tmp_path / "new").exists()


def test_a_link_stays(log: Path, ends: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    begin(UndoLog(log, 0, WriteLog(ends)), WriteLog(ends), tmp_path / "link")
    UndoLog(log, 0, WriteLog(ends))
    assert (tmp_path / "link").is_symlink()
    assert not (tmp_path / "target").exists()


def test_a_torn_line_was_followed_by_nothing(log: Path, ends: Path, tmp_path: Path) -> None:
    undo = UndoLog(log, 0, WriteLog(ends), power=True)
    undo.note(tmp_path / "new", keep=True)
    with log.open("ab") as file:
        file.write(b'{"path": "/')
    assert UndoLog(log, undo.noted, WriteLog(ends)).noted == undo.noted
    assert log.stat().st_size == undo.noted


def test_a_lost_log_begins_anew(log: Path, ends: Path) -> None:
    assert UndoLog(log, 500, WriteLog(ends)).noted == 0


def test_what_others_wrote_to_a_new_file_stays(log: Path, ends: Path, tmp_path: Path) -> None:
    begin(UndoLog(log, 0, WriteLog(ends)), WriteLog(ends), tmp_path / "new")
    with (tmp_path / "new").open("ab") as file:
        file.write(b" of others")
    UndoLog(log, 0, WriteLog(ends))
    assert (tmp_path / "new").read_bytes() == b" of others"


def begin(log: UndoLog, reach: WriteLog, *paths: Path, keep: bool = True) -> None:
    """Write to files as a feed does."""
    for path in paths:
        log.note(path, keep=keep)
        AppendFile(path, None, overwrite=not keep, reach=reach).append(b" and after")
