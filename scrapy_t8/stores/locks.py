"""Locks of files, by ``flock``: the kernel frees a lock when its holder ends, even by a kill."""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 5.0
"""Seconds after which an uncontested lock must have been acquired."""
STEP = 0.02
"""Seconds between two attempts to acquire a lock."""


class FileLock:
    """The lock of the file *path*, which is created if it is missing. An object must not be shared by threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    @property
    def is_held(self) -> bool:
        return self._fd is not None

    def share(self, patience: float = 0.0) -> bool:
        """Acquire the lock together with others that share it. Return whether it was free within *patience* seconds."""
        return self._hold(fcntl.LOCK_SH, patience)

    def own(self, patience: float = 0.0) -> bool:
        """Acquire the lock exclusively. Return whether it was free within *patience* seconds."""
        return self._hold(fcntl.LOCK_EX, patience)

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Hold the lock exclusively for the block, after any wait. The file stays open until :meth:`release`."""
        if self._fd is None:
            self._fd = _open(self._path)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def release(self) -> None:
        """Free the lock, if it is held, and close the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _hold(self, how: int, patience: float) -> bool:
        deadline = time.monotonic() + patience
        while not self._try(how):
            if time.monotonic() >= deadline:
                return False
            time.sleep(STEP)
        return True

    def _try(self, how: int) -> bool:
        fd = _open(self._path)
        try:
            fcntl.flock(fd, how | fcntl.LOCK_NB)
            # Another process may have removed the file since it was opened: then this lock excludes no process.
            if is_inode(self._path, os.fstat(fd).st_ino):
                self._fd = fd
        except BlockingIOError:
            pass
        finally:
            if self._fd != fd:
                os.close(fd)
        return self._fd == fd


class LeaseHolder:
    """A lease holder with a unique name, which is alive while it holds its lock file.

    :param directory: the lock files of all holders.
    :raises OSError: if the file system does not support locks.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, exist_ok=True)
        self._directory = directory
        self._pid = os.getpid()
        self.name = f"{self._pid}-{secrets.token_hex(8)}"
        self._lock = FileLock(directory / self.name)
        # A process that removes the files of dead holders may hold the lock for an instant.
        if not self._lock.own(PATIENCE):
            raise OSError(f"{directory / self.name} cannot be locked: does this file system support flock?")
        for path in directory.iterdir():
            self.is_alive(path.name)

    @property
    def is_held(self) -> bool:
        """Whether this process has not retired the holder."""
        return self._lock.is_held and self._pid == os.getpid()

    def is_alive(self, name: str) -> bool:
        """Whether the holder of this *name* is alive. The lock file of a dead holder is removed."""
        if name == self.name:
            return True
        path = self._directory / name
        if not path.exists():
            return False
        lock = FileLock(path)
        if not lock.own():
            return True
        path.unlink(missing_ok=True)
        lock.release()
        return False

    def retire(self) -> None:
        """Remove the lock file: the holder is dead from now on."""
        if self.is_held:
            (self._directory / self.name).unlink(missing_ok=True)
            self._lock.release()


def is_inode(path: Path, inode: int) -> bool:
    """Whether *path* is still the file with this *inode*, and was not removed or replaced."""
    try:
        return os.stat(path).st_ino == inode
    except FileNotFoundError:
        return False


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
