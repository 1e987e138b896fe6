"""A file that only grows, and whose length is part of the commit."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from scrapy_t8.errors import FeedError

from .truncate import cut_back, size, sync
from .write_log import WriteLog

logger = logging.getLogger(__name__)

HELD = 1 << 20
"""Bytes that wait for one another."""


class AppendFile:
    """An append-only file that can be cut back to what was committed.

    :param path: the file; missing directories are made when it begins.
    :param length: the committed length in bytes, or None if the file has not begun in this job.
    :param overwrite: a file that begins replaces what is there.
    :param power: :meth:`flush` waits for the disk.
    :param reach: tells what was written by the job from what others have appended; without, there are no others.
    """

    def __init__(
        self,
        path: Path,
        length: int | None,
        *,
        overwrite: bool = False,
        power: bool = False,
        reach: WriteLog | None = None,
    ) -> None:
        self.path = path
        self.length = length
        self._overwrite = overwrite
        self._power = power
        self._reach = reach
        self._fd: int | None = None
        self._held = bytearray()
        if length is None and not overwrite:
            self.length = size(path)
        elif length is not None and path.exists():
            cut_back(path, length, reach)
            self.length = size(path)
        elif length:
            logger.error("The feed %s is gone, with %d bytes of an earlier run: it begins anew", path, length)
            self.length = 0

    def append(self, data: bytes) -> None:
        """Write *data* at the end. It counts with the next commit."""
        self._held += data
        # With power, each write has to wait for the note of it.
        if not self._power or len(self._held) >= HELD:
            self._write()

    def flush(self) -> None:
        """See that what was written will be there.

        :raises FeedError: if somebody has removed the file in the meantime.
        """
        if self._held:
            self._write()
        if self._fd is None:
            return
        if not os.fstat(self._fd).st_nlink:
            raise FeedError(f"the feed {self.path} was removed while the crawl ran: run the same command again")
        if self._power:
            os.fsync(self._fd)

    def touch(self) -> None:
        """Begin the file although it has no content."""
        self._write()

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _write(self) -> None:
        if self._fd is None:
            self._fd = self._begin()
        self.length = os.fstat(self._fd).st_size
        data, self._held = bytes(self._held), bytearray()
        if self._reach is not None and data:
            self._reach.note(self.length, data)
        view = memoryview(data)
        while view:
            written = os.write(self._fd, view)
            view = view[written:]
            self.length += written

    def _begin(self) -> int:
        if self._reach is not None:
            self._reach.begin()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.length is None and self._overwrite
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | (os.O_TRUNC if fresh else 0), 0o666)
        if self._power:
            sync(self.path.parent)
        return fd
