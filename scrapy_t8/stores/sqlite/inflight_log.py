"""Notes which entries are in flight, in a file that survives a kill without a commit.

A page that kills its process may do so before the next commit, every time. Only a page that was noted *before* it runs
can be charged with the crash. The note is one ``pwrite`` of eight bytes per lease, which the kernel keeps after a kill.
"""

from __future__ import annotations

import os
import struct
from array import array
from pathlib import Path

COMMIT = struct.Struct("<QQ")
WIDTH = 8
"""Bytes of an id."""
COMMITS = ".commits"
"""Suffix of the second file of the log, which has the run and the number of its last commit."""


class InFlightLog:
    """The ids in flight of one run.

    :param path: the file: the run's id, then one slot per entry, each of eight bytes. A free slot keeps its last id:
        that entry has settled, and is no longer in the store.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._commits = os.open(path.with_suffix(COMMITS), os.O_RDWR | os.O_CREAT, 0o600)
        self._slots: dict[int, int] = {}
        self._free: list[int] = []

    def read(self) -> tuple[int, list[int]]:
        """Return the run that last wrote to the file, and the entries that it had in flight."""
        run, *entries = ids_in(os.pread(self._fd, os.fstat(self._fd).st_size, 0)) or [0]
        return run, [entry for entry in entries if entry]

    def missing(self, run: int, number: int) -> str:
        """Return what was noted beyond this run and the number of its last commit; empty if nothing was."""
        data = os.pread(self._commits, COMMIT.size, 0)
        noted = COMMIT.unpack(data) if len(data) == COMMIT.size and any(data) else (self.read()[0], 0)
        if noted <= (run, number):
            return ""
        return f"run {run}, commit {number}, in place of run {noted[0]}, commit {noted[1]}"

    def note_commit(self, run: int, number: int) -> None:
        """Record a commit that has been made: a state that does not have this commit has lost its log."""
        os.pwrite(self._commits, COMMIT.pack(run, number), 0)

    def reset(self, run: int) -> None:
        """Remove all notes, for a new *run*."""
        os.ftruncate(self._commits, 0)
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, array("q", [run]).tobytes(), 0)
        self._slots.clear()
        self._free.clear()

    def add(self, entry: int) -> None:
        """Record that *entry* is in flight."""
        slot = self._free.pop() if self._free else len(self._slots) + 1
        self._slots[entry] = slot
        os.pwrite(self._fd, entry.to_bytes(WIDTH, "little"), slot * WIDTH)

    def discard(self, entry: int, *, erase: bool = False) -> None:
        """Free the slot of *entry*, and *erase* it: the entry is not in flight, but still in the store."""
        slot = self._slots.pop(entry, None)
        if slot is not None:
            self._free.append(slot)
            if erase:
                os.pwrite(self._fd, bytes(WIDTH), slot * WIDTH)

    def close(self) -> None:
        os.close(self._fd)
        os.close(self._commits)


def ids_in(data: bytes) -> list[int]:
    """Return the ids in the content of a log: the run, then the slots."""
    return array("q", data[: len(data) // WIDTH * WIDTH]).tolist()
