"""Locks of files, by ``flock``: the kernel frees them when their holder dies, however that happens."""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PATIENCE = 5.0
"""Seconds in which a lock that nobody else wants is to be had."""
STEP = 0.02
"""Seconds between two tries to get a lock."""


class FileLock:
    """The lock of the file *path*, which is made if it is missing. One at a time for each object: not for threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    @property
    def is_held(self) -> bool:
        return self._fd is not None

    def share(self, patience: float = 0.0) -> bool:
        """Hold it together with all others who share it. Returns whether that was possible within so many seconds."""
        return self._hold(fcntl.LOCK_SH, patience)

    def own(self, patience: float = 0.0) -> bool:
        """Hold it alone. Returns whether that was possible within so many seconds."""
        return self._hold(fcntl.LOCK_EX, patience)

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Hold it alone, after however long a wait. The file stays open for the next time."""
        if self._fd is None:
            self._fd = _open(self._path)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _hold(self, how: int, patience: float) -> bool:
        deadline = time.monotonic() + patience
        while True:
            fd = _open(self._path)
            with suppress(BlockingIOError):
                fcntl.flock(fd, how | fcntl.LOCK_NB)
                if _is_still(self._path, fd):
                    self._fd = fd
                    return True
            os.close(fd)
            if time.monotonic() >= deadline:
                return False
            time.sleep(STEP)


class LeaseHolder:
    """Somebody who may hold leases, known by a name that nobody else ever had, and alive as long as its lock is held.

    :param directory: of the locks of all holders.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, exist_ok=True)
        self._directory = directory
        self._pid = os.getpid()
        self.name = f"{self._pid}-{secrets.token_hex(8)}"
        self._lock = FileLock(directory / self.name)
        # Whoever clears away may have looked at the file before it was locked.
        if not self._lock.own(PATIENCE):
            raise OSError(f"{directory / self.name} cannot be locked: does this file system know flock?")
        for path in directory.iterdir():
            self.is_alive(path.name)

    @property
    def is_held(self) -> bool:
        """Whether it has not retired."""
        return self._lock.is_held and self._pid == os.getpid()

    def is_alive(self, name: str) -> bool:
        """Whether the holder of this *name* lives. What is left of a dead one is cleared away."""
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
        """Hold no leases any more."""
        if self.is_held:
            (self._directory / self.name).unlink(missing_ok=True)
            self._lock.release()


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _is_still(path: Path, fd: int) -> bool:
    """Whether *fd* is the file of this name: it may have been removed since it was opened."""
    try:
        return os.stat(path).st_ino == os.fstat(fd).st_ino
    except FileNotFoundError:
        return False
