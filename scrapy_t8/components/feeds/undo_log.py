"""The write-ahead log of one feed: after a crash, it has the writes since the last commit."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple

from scrapy_t8.errors import FeedError
from scrapy_t8.utils.files import sync

from .file_proof import FileProof
from .truncate import cut_back, feed_errors, size, write_all


class UndoLog:
    """Notes each write to the files of a feed *before* it happens, so that a crash before the commit can be undone.

    To cut the current file back to its committed length would not do: a batch that began after the commit has a name
    that only this log knows, and what another program has appended after a crash must not be cut off.

    :param path: the log, one JSON line a write.
    :param noted: the number of the last write that is committed.
    :param power: each note waits for the disk.
    :param files: where the files of the feed begin.
    :param owns: whether a path is that of a file of the feed. No other file is ever touched.
    """

    def __init__(
        self,
        path: Path,
        noted: int,
        *,
        power: bool = False,
        files: BegunFiles | None = None,
        owns: Callable[[str], bool] = lambda path: True,
    ) -> None:
        self.is_whole = True
        """Whether all notes since the last commit could be read. If not, the writes since then are unknown."""
        self.noted = noted
        self._owns = owns
        self.files = files or BegunFiles(path.with_suffix(".files"), 0)
        self._path = path
        self._power = power
        self._committed = noted
        self._fd: int | None = None

    def undo(self, current: Path | None = None, length: int = 0, was: str = "") -> None:
        """Bring all files back to where they were at the last commit.

        :param current: the file that had this *length* at the last commit.
        :param was: the path that it had then: a job directory may move together with its feeds.
        :raises FeedError: if another program has appended to one of them after the crash, if the notes name a file that
            is none of the feed, or if notes are missing and the current file is longer than at the last commit.
        """
        with feed_errors(self._path):
            uncommitted = self._uncommitted(Path(was), current)
            for path, (start, end) in uncommitted.items():
                with feed_errors(path):
                    _undo(path, start, end)
            if not self.is_whole and current is not None and current.is_file() and size(current) > length:
                raise FeedError(
                    f"{self._path}, the notes of what was written since the last commit, is damaged or older than the "
                    f"feed {current}, which has {size(current) - length} bytes more than at the last commit. "
                    f"{_advice(current, length)}"
                )
            cut_back(self._path, 0)

    def note(self, file: Path, start: int | None, end: int) -> None:
        """Record that *file*, which has *start* bytes (None if it does not exist), will have *end* bytes."""
        if self._fd is None:
            self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            if self._power:
                sync(self._path.parent)
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

    def _uncommitted(self, was: Path, current: Path | None) -> dict[Path, tuple[int | None, int]]:
        """Return the length at the last commit of each file that was written since, and the end of the last write."""
        files: dict[Path, tuple[int | None, int]] = {}
        writes = list(self._writes())
        if writes and writes[0].number > self.noted + 1:
            self.is_whole = False  # the commits that these writes followed are lost
        for write in writes:
            if write.number > self.noted:
                path = current if current is not None and Path(write.path) == was else Path(write.path)
                if path is not current and not self._owns(write.path):
                    raise FeedError(
                        f"{self._path} names {write.path}, which is not a file of this feed: was the command run in "
                        "another directory, or has somebody changed the job directory? Nothing was changed. Run the "
                        "same command in the same directory, or give the job up with -s T8_RESUME=fresh"
                    )
                start, end = files.get(path, (write.start, 0))
                files[path] = start, max(end, write.end)
        return files

    def _writes(self) -> Iterator[Write]:
        lines = self._path.read_bytes().splitlines(keepends=True) if self._path.exists() else []
        self.is_whole = self._path.exists() or not self.noted
        for line in lines:
            write = Write.load(line)
            if write is not None:
                yield write
            elif line is not lines[-1] or line.endswith(b"\n"):
                self.is_whole = False  # not a torn note, which no write has followed


class Write(NamedTuple):
    """The note of one write."""

    number: int
    path: str
    start: int | None
    end: int

    @classmethod
    def load(cls, line: bytes) -> Write | None:
        """Return the note in a line of the log; None if there is none."""
        note = _load(line)
        write = cls(note.get("write", 0), note.get("path", ""), note.get("start"), note.get("end", 0))
        numbers = (write.number, write.start or 0, write.end)
        is_right = isinstance(write.path, str) and all(type(number) is int and number >= 0 for number in numbers)
        return write if write.path and write.number and is_right else None


class EndedFile(NamedTuple):
    """A batch that is complete.

    :param proof: what its file was like at its end.
    """

    path: str
    items: int
    proof: FileProof


class BegunFiles:
    """Notes the files of one feed: the length that each had before this job, and what complete batches are like.

    :param path: the log, one JSON line for the beginning of a file, and one for the end of a batch.
    :param noted: length of the log in bytes at the last commit. Later notes are dropped.
    """

    def __init__(self, path: Path, noted: int, *, power: bool = False) -> None:
        self.noted = min(noted, size(path))
        self._path = path
        self._power = power

    def note(self, file: Path, *, keep: bool) -> int:
        """Record that *file* begins: at the end of its content (*keep*), or in place of it. Return where it begins."""
        length = (size(file) if keep else 0) if file.exists() else None
        self._write({"path": str(file.resolve()), "length": length})
        return length or 0

    def note_end(self, file: str, items: int, proof: FileProof) -> None:
        """Record that *file* is a complete batch of so many *items*."""
        self._write({"end": file, "items": items, "proof": proof})

    def ended(self) -> Iterator[EndedFile]:
        """Yield the batches that were complete at the last commit, as far as their notes can be read."""
        with feed_errors(self._path):
            notes = self._path.read_bytes()[: self.noted] if self._path.exists() else b""
        for line in notes.splitlines():
            note = _load(line)
            if "end" in note:
                try:
                    yield EndedFile(str(note["end"]), int(note["items"]), FileProof(*note["proof"]))
                except (KeyError, TypeError, ValueError):
                    continue

    def _write(self, note: dict[str, Any]) -> None:
        line = json.dumps(note).encode() + b"\n"
        with feed_errors(self._path):
            cut_back(self._path, self.noted)
            with self._path.open("ab") as log:
                log.write(line)
            if self._power:
                sync(self._path)
        self.noted += len(line)

    def undo_without_writes(self, current: Path, length: int, owns: Callable[[str], bool] = lambda path: True) -> None:
        """Undo a crash of a release that noted no writes: cut back *current*, and the files begun after the commit."""
        with feed_errors(current):
            cut_back(current, length)
            notes = self._path.read_bytes()[self.noted :] if self._path.exists() else b""
            for line in notes.splitlines(keepends=True):
                begun = _load(line) if line.endswith(b"\n") else {}
                if "path" in begun and owns(begun["path"]):
                    _cut(Path(begun["path"]), begun["length"])


def _load(line: bytes) -> dict[str, Any]:
    """Return the JSON object of a line; an empty one if there is none."""
    try:
        note = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return note if isinstance(note, dict) else {}


def _undo(path: Path, start: int | None, end: int) -> None:
    if path.is_file() and size(path) > end:
        raise FeedError(
            f"the feed {path} has {size(path) - end} bytes more than this crawl has written: another program has "
            f"appended to it after the crawl died. {_advice(path, start or 0)}"
        )
    _cut(path, start)


def _advice(path: Path, length: int) -> str:
    return (
        f"Move the rows of other programs, which are among the last {size(path) - length} bytes, to a file of their "
        f"own, cut the feed back (truncate -s {length} {quote(str(path))}), and run the same command again"
    )


def _cut(path: Path, length: int | None) -> None:
    """Bring *path* back to its *length*; None if it did not exist."""
    cut_back(path, length or 0)
    if length is None and path.is_file() and not size(path):
        path.unlink()
