"""What is done to files: cutting them back, replacing them."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import IO

from .write_log import WriteLog

logger = logging.getLogger(__name__)


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def cut_back(path: Path, length: int, reach: WriteLog | None = None) -> None:
    """Take away what the job has written after its last commit, and nothing else."""
    if not path.is_file():
        return  # a pipe or a device has no length
    there = size(path)
    if there < length:
        logger.error(
            "The feed %s has %d bytes less than at the last commit: somebody has changed it, and what was cut off "
            "will not come back",
            path,
            length - there,
        )
        return
    own = reach.own(path, length) if reach is not None else [(length, there)]
    if own and own[0][1] == there:
        os.truncate(path, own[0][0])
    elif own:
        logger.warning("Somebody else has written to the feed %s since the last commit: that stays", path)
        _cut_out(path, own)


def _cut_out(path: Path, stretches: list[tuple[int, int]]) -> None:
    with path.open("rb") as old, beside(path).open("wb") as new:
        for start, end in stretches:
            copy(old, new, max(start - old.tell(), 0))
            old.seek(max(end, old.tell()))
        shutil.copyfileobj(old, new)
        new.flush()
        os.fsync(new.fileno())
    shutil.copymode(path, beside(path))
    beside(path).replace(path.resolve())


def beside(path: Path) -> Path:
    """Where a file is written that takes the place of *path* when it is complete."""
    target = path.resolve()
    return target.with_name(f".{target.name}.t8-new")


def copy(source: IO[bytes], target: IO[bytes], length: int) -> None:
    """Copy *length* bytes, or as many as there are."""
    while length and (data := source.read(min(length, 1 << 20))):
        target.write(data)
        length -= len(data)
