"""A file that only grows, and whose length is part of the commit."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from scrapy_t8.errors import FeedError
from scrapy_t8.utils.files import sync

from .file_proof import GONE, REPLACED, TAIL, FileProof, hash_of, read_tail
from .truncate import cut_back, feed_errors, size, write_all
from .undo_log import UndoLog

HELD = 1 << 20
"""Bytes that are written together where each write waits for the disk."""


class AppendFile:
    """An append-only file that belongs to this crawl alone while the crawl runs.

    :param path: the file; missing directories are made when it begins.
    :param length: the length in bytes from which to go on, or None if the file has not begun in this job.
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
        self._identity = (0, 0)
        self._tail = b""
        with feed_errors(path):
            if length is not None and undo is None:
                cut_back(path, length)
            self.length = None if self._replaces else size(path)
            if path.is_file() and self.length:
                self._look(path)

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

    def proof(self) -> FileProof:
        """Return what proves that the file is still as this crawl has written it."""
        return FileProof(*self._identity, self.length or 0, hash_of(self._tail))

    def check_at_end(self) -> None:
        """Check that the file of this name has everything that was written.

        :raises FeedError: if it is not.
        """
        proof = self.proof()
        with feed_errors(self.path):
            change = proof.change(self.path)
            if self._fd is not None and not change and self.path.is_file() and not proof.is_same_file(self.path):
                change = REPLACED
        if change:
            what = f"is {change}" if change in (GONE, REPLACED) else f"is {change} than what was written to it"
            raise FeedError(
                f"{self.path} {what}: another program has moved or changed it while the crawl ran. Put it back"
            )

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
            self._tail = (self._tail + data)[-TAIL:] if len(data) < TAIL else data[-TAIL:]

    def _begin(self) -> int:
        self._target = self.path.resolve()
        if self._undo is not None:
            start = None if not self.path.exists() else 0 if self._replaces else size(self.path)
            # A crash may come before the old content is removed.
            self._undo.note(self._target, start, size(self.path))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        truncates = os.O_TRUNC if self._replaces else 0
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | truncates, 0o666)
        self._replaces = False
        if self._power:
            sync(self.path.parent)
        there = os.fstat(fd)
        self.length, self._identity = there.st_size, (there.st_dev, there.st_ino)
        self._tail = b""
        if self.length and stat.S_ISREG(there.st_mode):
            self._look(self.path)
        return fd

    def _look(self, path: Path) -> None:
        """Record the state of the file before this run writes to it."""
        with path.open("rb") as file:
            there = os.fstat(file.fileno())
            self._identity = (there.st_dev, there.st_ino)
            self._tail = read_tail(file, there.st_size)

    def _check(self, fd: int) -> None:
        """Check that no other program has changed the file."""
        found = os.fstat(fd)
        if not found.st_nlink:
            raise FeedError(f"the feed {self.path} was removed while the crawl ran: run the same command again")
        if stat.S_ISREG(found.st_mode) and found.st_size != self.length:
            raise FeedError(
                f"the feed {self.path} was changed by another program while the crawl ran: it has {found.st_size} "
                f"bytes instead of {self.length}. Give that program a file of its own, and run the same command again"
            )
