"""Which bytes of a file are the job's own, where others may append to it too."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from zlib import crc32

CHUNK = 1 << 20


class WriteLog:
    """Where the job writes since its last commit, noted before it does.

    :param path: start, end and checksum of each stretch that is written in one go. Older ones may follow: those are
        committed, and tell nothing.
    """

    RECORD = struct.Struct(">QQI")

    def __init__(self, path: Path, *, power: bool = False) -> None:
        self._path = path
        self._power = power
        self._fd: int | None = None
        self._count = 0
        self._last = (0, -1, 0)
        data = path.read_bytes() if path.exists() else b""
        whole = len(data) // self.RECORD.size * self.RECORD.size
        self._noted = sorted(self.RECORD.iter_unpack(data[:whole]))

    def own(self, file: Path, length: int) -> list[tuple[int, int]]:
        """The stretches of *file* beyond *length* that an earlier run has written."""
        there = file.stat().st_size
        noted = [stretch for stretch in self._noted if length <= stretch[0] < there]
        covered = length
        for start, end, _ in noted:
            covered = max(covered, end) if start <= covered else covered
        if covered >= there:
            return [(length, there)] if there > length else []
        # There is more than the job has written. The last of its writes may have been cut short.
        return [(start, min(end, there)) for start, end, sum_ in noted if end > there or _sum(file, start, end) == sum_]

    def begin(self) -> None:
        """What comes next goes to another file."""
        self._last = (0, -1, 0)

    def note(self, start: int, data: bytes) -> None:
        """*data* is about to be written at *start*."""
        sum_ = 0
        end = start + len(data)
        if self._count and self._last[1] == start:
            start, _, sum_ = self._last
        else:
            self._count += 1
        self._last = (start, end, crc32(data, sum_))
        if self._fd is None:
            self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
        os.pwrite(self._fd, self.RECORD.pack(*self._last), (self._count - 1) * self.RECORD.size)
        if self._power:
            os.fsync(self._fd)

    def flush(self) -> None:
        """The next note comes after a commit, and may take the place of those before it."""
        self._count = 0

    def undone(self) -> None:
        """What an earlier run has written was cut off."""
        if self._noted:
            self._noted.clear()
            os.truncate(self._path, 0)

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _sum(path: Path, start: int, end: int) -> int:
    sum_ = 0
    with path.open("rb") as file:
        file.seek(start)
        while start < end and (data := file.read(min(end - start, CHUNK))):
            sum_ = crc32(data, sum_)
            start += len(data)
    return sum_
