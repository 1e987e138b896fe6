"""Files that begin in the middle of a commit, so that a crash in between can be undone."""

from __future__ import annotations

import json
import os
from pathlib import Path

from .truncate import cut_back, size, sync
from .write_log import WriteLog


class UndoLog:
    """Notes each file *before* it begins.

    :param path: the log, one JSON line a file.
    :param noted: its length at the last commit: what comes after is undone.
    :param reach: tells what was written to those files by the job.
    """

    def __init__(self, path: Path, noted: int, reach: WriteLog, *, power: bool = False) -> None:
        self._path = path
        self._reach = reach
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
                    undo(Path(begun["path"]), begun["length"], self._reach)


def undo(path: Path, length: int | None, reach: WriteLog) -> None:
    """Bring *path* back to its *length*; None if it was not there at all."""
    cut_back(path, length or 0, reach)
    if length is None and path.is_file() and not size(path):
        path.unlink()
