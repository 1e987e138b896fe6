"""Counts the items in feed files, independently of the code that wrote them."""

from __future__ import annotations

import csv
import gzip
import io
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any

GZIP = b"\x1f\x8b"


class CannotCount(Exception):
    """A feed whose items cannot be counted. The message says why."""


def files_of(state: Path, name: str, record: dict[str, Any]) -> Iterator[tuple[Path, int, int | None]]:
    """Yield each file of the appended feed *name*, with begin and end of the job's part (None: the end of the file)."""
    log = state / f"feed-{blake2b(name.encode(), digest_size=6).hexdigest()}.undo"
    noted = log.read_bytes()[: record["noted"]] if log.exists() else b""
    last = Path(record["path"]).resolve()
    try:
        notes = [line for line in map(json.loads, noted.splitlines()) if "path" in line]
        begun = {Path(line["path"]): line["length"] or 0 for line in notes}
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{log.name} is damaged: {error}") from None
    if record["items"] and last not in begun:
        raise ValueError(f"it is not known where it begins: {log.name} is gone")
    for path, start in begun.items():
        if path.exists() and not path.is_file():
            raise ValueError(f"{path} is not a file")
        yield path, start, record["length"] if path == last else None


def count(path: Path, start: int, end: int | None, format_: str, header: bytes = b"") -> int:
    """Count the items in the bytes of *path* from *start* to *end*. A *header* in front of them is skipped.

    :raises CannotCount: for a format that only its exporter can read.
    :raises ValueError: if the file is not of this format.
    """
    counter = COUNTERS.get(format_)
    if counter is None:
        raise CannotCount(f"its format {format_!r} cannot be counted")
    with path.open("rb") as file:
        file.seek(start)
        size = (path.stat().st_size if end is None else end) - start
        begin = file.read(max(len(GZIP), len(header)))
        if begin.startswith(GZIP):
            file.seek(start)
            return counter(gzip.GzipFile(fileobj=file))
        skipped = len(header) if begin.startswith(header) else 0
        file.seek(start + skipped)
        return counter(_Part(file, size - skipped))


class _Part(io.RawIOBase):
    """The next *size* bytes of *file*."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(min(len(buffer), self._left))
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)


def _lines(file: Any) -> int:
    found = 0
    for line in io.BufferedReader(file):
        if line.strip():
            json.loads(line)
            found += 1
        if not line.endswith(b"\n"):
            raise ValueError("its last line is cut short")
    return found


def _rows(file: Any) -> int:
    # Only the ends of rows matter, and they are the same in all encodings that contain ASCII.
    text = io.TextIOWrapper(io.BufferedReader(file), encoding="latin-1", newline="")
    return sum(1 for row in csv.reader(text) if row)


def _list(file: Any) -> int:
    found = json.load(io.BufferedReader(file))
    if not isinstance(found, list):
        raise ValueError("it is not a list")
    return len(found)


def _elements(file: Any) -> int:
    depth = found = 0
    for event, element in ElementTree.iterparse(io.BufferedReader(file), ("start", "end")):
        depth += 1 if event == "start" else -1
        if event == "end" and depth == 1:
            found += 1
            element.clear()
    return found


COUNTERS: dict[str, Callable[[Any], int]] = {
    "jsonlines": _lines,
    "jsonl": _lines,
    "jl": _lines,
    "csv": _rows,
    "csv with header": lambda file: max(0, _rows(file) - 1),
    "json": _list,
    "xml": _elements,
}
"""Counters by format. Pickle is not among them: to load it would run code."""
