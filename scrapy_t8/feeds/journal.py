"""A file that only grows, and whose length is part of the commit."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from ..errors import FeedError

logger = logging.getLogger(__name__)


class Journal:
    """An append-only file that can be cut back to what was committed.

    :param path: the file; missing directories are made when it begins.
    :param length: the committed length in bytes, or None if the file has not begun in this job.
    :param overwrite: a file that begins replaces what is there.
    :param power: :meth:`flush` waits for the disk.
    """

    def __init__(self, path: Path, length: int | None, *, overwrite: bool = False, power: bool = False) -> None:
        self.path = path
        self.length = length
        self._overwrite = overwrite
        self._power = power
        self._fd: int | None = None
        if length is None and not overwrite:
            self.length = size(path)
        elif length is not None and path.exists():
            self._cut_back(length)
        elif length:
            logger.error("The feed %s is gone, with %d bytes of an earlier run: it begins anew", path, length)
            self.length = 0

    def append(self, data: bytes) -> None:
        """Write *data* at the end. It counts with the next commit."""
        if self._fd is None:
            self._fd = self._begin()
        assert self.length is not None
        view = memoryview(data)
        while view:
            written = os.write(self._fd, view)
            view = view[written:]
            self.length += written

    def flush(self) -> None:
        """See that what was written will be there.

        :raises FeedError: if somebody has removed the file in the meantime.
        """
        if self._fd is None:
            return
        if not os.fstat(self._fd).st_nlink:
            raise FeedError(f"the feed {self.path} was removed while the crawl ran: run the same command again")
        if self._power:
            os.fsync(self._fd)

    def touch(self) -> None:
        """Begin the file although it has no content."""
        self.append(b"")

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _begin(self) -> int:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.length is None and self._overwrite
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | (os.O_TRUNC if fresh else 0), 0o666)
        if fresh:
            self.length = 0
        if self._power:
            sync(self.path.parent)
        return fd

    def _cut_back(self, length: int) -> None:
        cut_back(self.path, length)
        self.length = size(self.path)


class UndoLog:
    """Notes each file *before* it begins in the middle of a commit, so that a crash in between can be undone.

    :param path: the log, one JSON line a file.
    :param noted: its length at the last commit: what comes after is undone.
    """

    def __init__(self, path: Path, noted: int, *, power: bool = False) -> None:
        self._path = path
        self._power = power
        self.noted = min(noted, size(path))
        if size(path) > self.noted:
            self._undo()
            os.truncate(path, self.noted)

    def note(self, path: Path, *, keep: bool) -> None:
        """The file *path* is about to begin: at the end of what is there (*keep*), or in its place."""
        length = (size(path) if keep else 0) if path.exists() else None
        line = json.dumps({"path": str(path.resolve()), "length": length}).encode() + b"\n"
        with self._path.open("ab") as file:
            file.write(line)
        if self._power:
            sync(self._path)
        self.noted += len(line)

    def _undo(self) -> None:
        with self._path.open("rb") as file:
            file.seek(self.noted)
            for line in file:
                if line.endswith(b"\n"):
                    begun = json.loads(line)
                    undo(Path(begun["path"]), begun["length"])


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def cut_back(path: Path, length: int) -> None:
    """Take away what was written after the last commit."""
    if not path.is_file():
        return  # a pipe or a device has no length
    there = size(path)
    if there > length:
        os.truncate(path, length)
    elif there < length:
        logger.error(
            "The feed %s has %d bytes less than at the last commit: somebody has changed it, and what was cut off "
            "will not come back",
            path,
            length - there,
        )


def undo(path: Path, length: int | None) -> None:
    if length is None:
        path.unlink(missing_ok=True)
    elif path.exists():
        cut_back(path, length)
