"""Files that commands write: whole, or not at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from scrapy_t8.errors import WriteError

STDOUT = "-"


@contextmanager
def writing(name: str) -> Iterator[IO[str]]:
    """The file *name* to be written, or standard output. A reader sees the old file or the new one, never half.

    It can be read by its owner alone: it may have secrets in it.

    :raises WriteError: if it cannot be written.
    """
    if name == STDOUT:
        yield sys.stdout
        return
    path = Path(name)
    if path.is_dir():
        raise WriteError(f"{path} cannot be written: it is a directory. Nothing was written: choose another file")
    new = path.with_name(f".{path.name}.t8-new")
    try:
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise _cannot(path, error) from error
    try:
        with open(fd, "w", encoding="utf-8", errors="backslashreplace") as file:
            yield file
        os.replace(new, path)
    except OSError as error:
        raise _cannot(path, error) from error
    finally:
        new.unlink(missing_ok=True)


def _cannot(path: Path, error: OSError) -> WriteError:
    return WriteError(f"{path} cannot be written: {error.strerror or error}. Nothing was written: choose another file")
