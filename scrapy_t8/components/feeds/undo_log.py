"""The write-ahead notes of one feed: they tell after a crash what was written since the last commit."""

from __future__ import annotations

import json
import os
from pathlib import Path
from shlex import quote

from scrapy_t8.errors import FeedError

from .truncate import cut_back, feed_errors, size, sync, write_all


class UndoLog:
    """Notes each write to the files of a feed *before* it happens, so that a crash before the commit can be undone.

    To cut the current file back to its committed length would not do: a batch that began after the commit has a name
    that only this log knows, and what another program has appended after a crash must not be cut off.

    :param path: the log, one JSON line a write.
    :param noted: the number of the last write that is committed.
    :param power: each note waits for the disk.
    """

    def __init__(self, path: Path, noted: int, *, power: bool = False) -> None:
        self.noted = noted
        self._path = path
        self._power = power
        self._committed = noted
        self._fd: int | None = None

    def undo(self) -> None:
        """Bring all files back to where they were at the last commit.

        :raises FeedError: if another program has appended to one of them after the crash.
        """
        with feed_errors(self._path):
            for path, (start, end) in self._uncommitted().items():
                with feed_errors(path):
                    _undo(path, start, end)
            cut_back(self._path, 0)

    def note(self, file: Path, start: int | None, end: int) -> None:
        """Note that *file*, which has *start* bytes (None if it does not exist), will have *end* bytes."""
        if self._fd is None:
            self._fd = self._open()
        if self.noted == self._committed:
            os.ftruncate(self._fd, 0)
        self.noted += 1
        line = json.dumps({"write": self.noted, "path": str(file), "start": start, "end": end})
        write_all(self._fd, line.encode() + b"\n")
        if self._power:
            os.fsync(self._fd)

    def committing(self) -> None:
        """Make all writes so far part of the commit that follows."""
        self._committed = self.noted

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _open(self) -> int:
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        if self._power:
            sync(self._path.parent)
        return fd

    def _uncommitted(self) -> dict[Path, tuple[int | None, int]]:
        """Return the length at the last commit of each file that was written since, and the end of the last write."""
        files: dict[Path, tuple[int | None, int]] = {}
        for line in self._path.read_bytes().splitlines() if self._path.exists() else ():
            try:
                write = json.loads(line)
            except ValueError:
                continue  # a torn note: no write has followed
            if write.get("write", 0) > self.noted:  # no number: a note of an older version
                start, end = files.get(Path(write["path"]), (write["start"], 0))
                files[Path(write["path"])] = start, max(end, write["end"])
        return files


def _undo(path: Path, start: int | None, end: int) -> None:
    length = start or 0
    if path.is_file() and size(path) > end:
        raise FeedError(
            f"the feed {path} has {size(path) - end} bytes more than this crawl has written: another program has "
            f"appended to it after the crawl had died. Move its rows, which are among the last {size(path) - length} "
            f"bytes, to a file of their own, cut the feed back (truncate -s {length} {quote(str(path))}), and run the "
            "same command again"
        )
    cut_back(path, length)
    if start is None and path.is_file() and not size(path):
        path.unlink()
