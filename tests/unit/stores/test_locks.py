"""Locks of files: who excludes whom, and what a removed file means."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scrapy_t8.stores.locks import FileLock, LeaseHolder, is_inode


def test_an_owner_excludes_everybody(tmp_path: Path) -> None:
    owner, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert owner.own()
    assert owner.is_held
    assert not other.own()
    assert not other.share()
    assert not other.is_held
    owner.release()
    assert other.own()


def test_those_who_share_exclude_an_owner_only(tmp_path: Path) -> None:
    first, second, owner = (FileLock(tmp_path / "lock") for _ in range(3))
    assert first.share()
    assert second.share()
    assert not owner.own()
    first.release()
    second.release()
    assert owner.own()


def test_a_lock_is_waited_for_as_long_as_was_said(tmp_path: Path) -> None:
    owner, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert owner.own()
    began = time.monotonic()
    assert not other.own(0.1)
    assert time.monotonic() - began >= 0.1


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from scrapy_t8.stores.locks import FileLock\n"
        "lock = FileLock(Path(sys.argv[1])); print(lock.own(), flush=True); time.sleep(900)"
    )
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"True\n"
        lock = FileLock(path)
        assert not lock.own()
        process.kill()
    assert lock.own(5.0)


def test_the_lock_of_a_removed_file_excludes_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, real = tmp_path / "lock", fcntl.flock
    removed: list[int] = []

    def remove_once(fd: int, how: int) -> None:
        real(fd, how)
        if not removed:
            removed.append(fd)
            path.unlink()

    monkeypatch.setattr(fcntl, "flock", remove_once)
    lock = FileLock(path)
    assert not lock.own()
    assert lock.own()
    assert path.exists()


def test_an_error_leaves_no_file_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(fd: int, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", fail)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="locks"):
        FileLock(tmp_path / "lock").own()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_block_owns_the_lock_and_keeps_the_file_open(tmp_path: Path) -> None:
    lock, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    with lock.owned():
        assert not other.own()
    assert other.own()
    assert lock.is_held


def test_a_lease_holder_lives_as_long_as_it_has_not_retired(tmp_path: Path) -> None:
    first, second = LeaseHolder(tmp_path / "holders"), LeaseHolder(tmp_path / "holders")
    assert first.name != second.name
    assert first.is_alive(second.name)
    second.retire()
    assert not second.is_held
    assert not first.is_alive(second.name)
    assert not first.is_alive("1-never")


def test_what_dead_holders_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "holders").mkdir()
    (tmp_path / "holders" / "1-dead").touch()
    holder = LeaseHolder(tmp_path / "holders")
    assert [path.name for path in (tmp_path / "holders").iterdir()] == [holder.name]


def test_a_replaced_file_has_another_inode(tmp_path: Path) -> None:
    path, new = tmp_path / "file", tmp_path / "new"
    path.touch()
    new.touch()
    inode = path.stat().st_ino
    assert is_inode(path, inode)
    new.rename(path)
    assert not is_inode(path, inode)
    path.unlink()
    assert not is_inode(path, inode)
