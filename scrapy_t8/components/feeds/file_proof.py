"""What proves that a file is still as it was written: its identity, its length, and a hash of its last bytes."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import IO, NamedTuple

TAIL = 512
"""Bytes at the end of a file that are hashed."""

GONE, SHORTER, REPLACED, LONGER = "gone", "shorter", "replaced", "longer"
"""What may have happened to a file."""


class FileProof(NamedTuple):
    """What a file was like when it was written last.

    :param tail: the hash of the last bytes; empty if it is not known.
    """

    device: int
    inode: int
    length: int
    tail: str

    def change(self, path: Path) -> str:
        """Return what has happened to the file *path* since, or "". A pipe or a device is never changed."""
        if not path.exists():
            return GONE if self.length else ""
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            there = os.fstat(file.fileno())
            if there.st_size < self.length:
                return SHORTER
            if self.tail and hash_of(read_tail(file, self.length)) != self.tail:
                return REPLACED
        return LONGER if there.st_size > self.length else ""

    def is_same_file(self, path: Path) -> bool:
        """Whether *path* is the very file, not a copy of it."""
        there = path.stat()
        return (there.st_dev, there.st_ino) == (self.device, self.inode)


def read_tail(file: IO[bytes], length: int) -> bytes:
    """Return the bytes before the position *length* that are hashed."""
    start = max(0, length - TAIL)
    file.seek(start)
    return file.read(length - start)


def hash_of(tail: bytes) -> str:
    """Return the hash of the last bytes of a file."""
    return blake2b(tail, digest_size=8).hexdigest()


def whole_rows(path: Path, start: int, *, is_csv: bool) -> tuple[int, int]:
    """Count the whole rows of *path* from *start* on, a header included. Return also where the last of them ends."""
    with path.open("rb") as file:
        file.seek(start)
        rows, end = 0, start
        for row in _csv_rows(file) if is_csv else file:
            if not row.endswith(b"\n"):
                break
            rows, end = rows + 1, end + len(row)
    return rows, end


def _csv_rows(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the bytes of each row. One that is cut inside of a quoted field has no end."""
    lines: list[bytes] = []

    def decoded() -> Iterator[str]:
        for line in file:
            lines.append(line)
            yield line.decode("latin-1")

    # Only the ends of rows matter, and they are the same in all encodings that contain ASCII.
    for _ in csv.reader(decoded()):
        row = b"".join(lines)
        lines.clear()
        yield row if row.count(b'"') % 2 == 0 else row.rstrip(b"\r\n")
