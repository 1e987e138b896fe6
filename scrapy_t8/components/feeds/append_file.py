"""A file that only grows, and whose length is part of the commit."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

from scrapy_t8.errors import FeedError

from .truncate import cut_back, feed_errors, size, sync, write_all
from .undo_log import UndoLog

logger = logging.getLogger(__name__)

HELD = 1 << 20
"""Bytes that are written together where each write waits for the disk."""


class AppendFile:
    """An append-only file that belongs to this crawl alone while the crawl runs.

    :param path: the file; missing directories are made when it begins.
    :param length: the committed length in bytes, or None if the file has not begun in this job.
    :param overwrite: a file that begins replaces what is there.
    :param power: :meth:`flush` waits for the disk.
    :param undo: notes each write, and was undone; without it, everything after the committed length is cut off.
    """

    def __init__(
        self,
        path: Path,
        length: int | None,
        *,
        overwrite: bool = False,
        power: bool = False,
        undo: UndoLog | None = None,
    ) -> None:
        self.path = path
        self._replaces = length is None and overwrite
        self._power = power
        self._undo = undo
        self._fd: int | None = None
        self._target = path
        self._held = bytearray()
        with feed_errors(path):
            if length is not None and undo is None:
                cut_back(path, length)
            there = size(path)
        self.length = None if self._replaces else there
        if length is not None and (path.is_file() or not path.exists()):
            _report_change(path, length, there)

    def append(self, data: bytes) -> None:
        """Write *data* at the end. It counts with the next commit.

        :raises FeedError: if the disk refuses, or if another program has written to the file.
        """
        self._held += data
        # With power, each write has to wait for the note of it.
        if not self._power or len(self._held) >= HELD:
            self._write()

    def flush(self) -> None:
        """Hand everything to the kernel, or with *power* to the disk.

        :raises FeedError: as :meth:`append`, and if the file was removed.
        """
        if self._held:
            self._write()
        if self._fd is not None:
            self._check(self._fd)
            if self._power:
                with feed_errors(self.path):
                    os.fsync(self._fd)

    def touch(self) -> None:
        """Begin the file although it has no content."""
        self._write()

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _write(self) -> None:
        with feed_errors(self.path):
            if self._fd is None:
                self._fd = self._begin()
            else:
                self._check(self._fd)
            assert self.length is not None
            data, self._held = bytes(self._held), bytearray()
            if self._undo is not None and data:
                self._undo.note(self._target, self.length, self.length + len(data))
            write_all(self._fd, data)
            self.length += len(data)

    def _begin(self) -> int:
        self._target = self.path.resolve()
        if self._undo is not None:
            start = None if not self.path.exists() else 0 if self._replaces else size(self.path)
            # A crash may come before the content that is to be replaced has gone.
            self._undo.note(self._target, start, size(self.path))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        truncates = os.O_TRUNC if self._replaces else 0
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | truncates, 0o666)
        self._replaces = False
        if self._power:
            sync(self.path.parent)
        self.length = os.fstat(fd).st_size
        return fd

    def _check(self, fd: int) -> None:
        """See that nobody else has touched the file."""
        found = os.fstat(fd)
        if not found.st_nlink:
            raise FeedError(f"the feed {self.path} was removed while the crawl ran: run the same command again")
        if stat.S_ISREG(found.st_mode) and found.st_size != self.length:
            raise FeedError(
                f"the feed {self.path} was changed by another program while the crawl ran: it has {found.st_size} "
                f"bytes instead of {self.length}. Give that program a file of its own, and run the same command again"
            )


def _report_change(path: Path, length: int, there: int) -> None:
    """Log it if the file has changed since the last commit."""
    if there < length:
        change = f"has {length - there} bytes less than at the last commit" if path.exists() else "is gone"
        logger.error("The feed %s %s: somebody has changed it, and what is lost will not come back", path, change)
    elif there > length:
        change = f"has {there - length} bytes more than at the last commit"
        logger.warning("The feed %s %s: another program has appended to it, and its rows stay", path, change)
