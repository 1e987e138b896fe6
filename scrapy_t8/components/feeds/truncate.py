"""File operations of feeds: measure, truncate, replace, and report errors of the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from scrapy_t8.errors import FeedError, remedy


@contextmanager
def feed_errors(path: Path | str) -> Iterator[None]:
    """Turn each OSError inside into a :class:`FeedError` that names the file and the remedy."""
    try:
        yield
    except OSError as error:
        raise FeedError(f"cannot write the feed {path}: {error}. {remedy(error)}") from error


def size(path: Path) -> int:
    """Return the bytes of a file, 0 if it does not exist."""
    return path.stat().st_size if path.exists() else 0


def write_all(fd: int, data: bytes) -> None:
    """Write *data*, which one system call may do only in part."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def cut_back(path: Path, length: int) -> None:
    """Cut a file back to *length* bytes. A pipe or a device has no length and stays as it is."""
    if path.is_file() and size(path) > length:
        os.truncate(path, length)


def copy(source: IO[bytes], target: IO[bytes], length: int) -> None:
    """Copy *length* bytes, or as many as there are."""
    while length and (data := source.read(min(length, 1 << 20))):
        target.write(data)
        length -= len(data)
