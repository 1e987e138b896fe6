"""Notes which entries are in flight, in a file that survives a kill without a commit.

A page that kills its process may do so before the next commit, every time. Only a page that was noted *before* it runs
can be charged with the crash. The note is one ``pwrite`` of eight bytes per lease, which the kernel keeps after a kill.
"""

from __future__ import annotations

import os
from array import array
from pathlib import Path

WIDTH = 8
"""Bytes of an id."""


class InFlightLog:
    """The ids in flight of one run.

    :param path: the file: the run's id, then one slot per entry, each of eight bytes. A free slot keeps its last id:
        that entry has settled, and is no longer in the store.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._slots: dict[int, int] = {}
        self._free: list[int] = []

    def read(self) -> tuple[int, list[int]]:
        """Return the run that last wrote to the file, and the entries that it had in flight."""
        run, *entries = ids_in(os.pread(self._fd, os.fstat(self._fd).st_size, 0)) or [0]
        return run, [entry for entry in entries if entry]

    def reset(self, run: int) -> None:
        """Remove all notes, for a new *run*."""
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, array("q", [run]).tobytes(), 0)
        self._slots.clear()
        self._free.clear()

    def add(self, entry: int) -> None:
        """Note that *entry* is in flight."""
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


def ids_in(data: bytes) -> list[int]:
    """Return the ids in the content of a log: the run, then the slots."""
    return array("q", data[: len(data) // WIDTH * WIDTH]).tolist()
