"""Modules of this package run as processes, and killed, for a demonstration or a test."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

POLL = 0.02
LIMIT = 900.0  # Seconds that something may take, at the most


def lines(path: Path) -> list[str]:
    """Return the whole lines of a file that may still be written to, or that does not exist yet."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return text.splitlines() if text.endswith("\n") else text.splitlines()[:-1]


def wait_until(holds: Callable[[], bool], what: str, limit: float = LIMIT) -> None:
    """Wait until *holds* is true, or raise an error that names *what*."""
    end = time.monotonic() + limit
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {limit:g} s")
        time.sleep(POLL)


def run(module: str, *arguments: str, log: Path, kill_when: Callable[[], bool] = lambda: False) -> int:
    """Run a module of this package to its end, or kill it as soon as *kill_when* is true. Return its exit status."""
    command = [sys.executable, "-m", f"scrapy_t8.commands.selfcheck.{module}", *arguments]
    with log.open("ab") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)
        try:
            wait_until(lambda: process.poll() is not None or kill_when(), f"the end of {module}")
        finally:
            process.kill()
            process.wait()
    return process.returncode
