"""Processes of our own that are killed, for a demonstration or a test."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

POLL = 0.02
LIMIT = 60.0
"""Seconds that something may take, at the most."""


class TookTooLong(Exception):
    """What was waited for did not come."""


def lines(path: Path) -> list[str]:
    """The whole lines of a file that somebody may be writing, or that is not there yet."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return text.splitlines() if text.endswith("\n") else text.splitlines()[:-1]


def until(holds: Callable[[], bool], what: str, limit: float = LIMIT) -> None:
    """Wait.

    :raises TookTooLong: saying *what*.
    """
    end = time.monotonic() + limit
    while not holds():
        if time.monotonic() > end:
            raise TookTooLong(f"{what}: not within {limit:g} s")
        time.sleep(POLL)


def run_and_kill(module: str, *arguments: str, when: Callable[[], bool], log: Path) -> int:
    """Run a module of this package, and kill it as soon as something holds. Returns its exit status, -9 if that came.

    :param log: where its output goes.
    """
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", f"scrapy_t8.commands.selfcheck.{module}", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        try:
            until(lambda: when() or process.poll() is not None, f"{module} to come so far")
        finally:
            process.kill()
            process.wait()
    return process.returncode


def run(module: str, *arguments: str, log: Path) -> int:
    """Run a module of this package to its end. Returns its exit status."""
    with log.open("ab") as file:
        return subprocess.run(
            [sys.executable, "-m", f"scrapy_t8.commands.selfcheck.{module}", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            timeout=LIMIT,
        ).returncode
