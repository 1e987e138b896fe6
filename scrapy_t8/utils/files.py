"""Files that are written whole, or not at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from scrapy_t8.errors import WriteError

STDOUT = "-"


def sync(path: Path) -> None:
    """Wait until a file, or the entries of a directory, are on the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def replacing(path: Path, *, mode: int = 0o666) -> Iterator[IO[str]]:
    """Write a new file that takes the place of *path* when the block ends without an error.

    A reader sees the old file or the new one, never a part of the new one.

    :param mode: the permissions of the new file, less the umask.
    """
    new = path.with_name(f".{path.name}.t8-new")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    try:
        with open(fd, "w", encoding="utf-8", errors="backslashreplace") as file:
            yield file
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)


@contextmanager
def writing(name: str) -> Iterator[IO[str]]:
    """Write the file *name*, or standard output for ``-``. Only its owner can read the file: it may hold secrets.

    :raises WriteError: if the file cannot be written; then the old one is unchanged.
    """
    if name == STDOUT:
        yield sys.stdout
        return
    path = Path(name)
    if path.is_dir():
        raise _cannot(path, "it is a directory")
    try:
        with replacing(path, mode=0o600) as file:
            yield file
    except OSError as error:
        raise _cannot(path, error.strerror or str(error)) from error


def _cannot(path: Path, why: str) -> WriteError:
    return WriteError(f"{path} cannot be written: {why}. Nothing was written: choose another file")
