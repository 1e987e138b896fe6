"""What one process of a test session finds out, and the others read."""

from __future__ import annotations

import fcntl
import pickle
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

Found = TypeVar("Found")


def find_once(directory: Path, name: str, find: Callable[[], Found]) -> Found:
    """Return what *find* returns: a file of *directory* keeps it for whoever asks for the same name."""
    file = directory / f"found-{sha256(name.encode()).hexdigest()}"
    with file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a process that dies gives it back
        if not file.exists():
            part = file.with_suffix(".part")
            part.write_bytes(pickle.dumps(find()))
            part.replace(file)
    found: Found = pickle.loads(file.read_bytes())
    return found
