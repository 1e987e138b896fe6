"""Which entries are in flight, in a file that survives a kill without a commit.

A page that kills its process may do so before the next commit, every time; only a note made *before* it runs can be
charged with the crash. One ``pwrite`` of eight bytes per lease is that note: the kernel keeps it, come what may.
"""

from __future__ import annotations

import os
from array import array
from pathlib import Path

WIDTH = 8


class InFlightLog:
    """The ids in flight of one run.

    :param path: the file: the run's id, then one slot per entry, each eight bytes. A free slot keeps what it had:
        that entry has settled, and is not in the store any more.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._slots: dict[int, int] = {}
        self._free: list[int] = []

    def read(self) -> tuple[int, list[int]]:
        """The run that last wrote here, and what it had in flight."""
        data = os.pread(self._fd, os.fstat(self._fd).st_size, 0)
        numbers = array("q", data[: len(data) // WIDTH * WIDTH])
        return (numbers[0], [n for n in numbers[1:] if n]) if numbers else (0, [])

    def reset(self, run: int) -> None:
        """Forget all and belong to *run*."""
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, array("q", [run]).tobytes(), 0)
        self._slots.clear()
        self._free.clear()

    def add(self, entry: int) -> None:
        slot = self._free.pop() if self._free else len(self._slots) + 1
        self._slots[entry] = slot
        os.pwrite(self._fd, entry.to_bytes(WIDTH, "little"), slot * WIDTH)

    def discard(self, entry: int) -> None:
        slot = self._slots.pop(entry, None)
        if slot is not None:
            self._free.append(slot)

    def close(self) -> None:
        os.close(self._fd)
