"""One process that crawls: how it is started, watched, and made sure to be gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
LIMIT = 180.0
"""Seconds that no process may take, on however busy a machine."""
POLL = 0.004


class TookTooLong(AssertionError):
    """A process that did not end by itself."""


@dataclass
class Run:
    """One process's turn at the job of a trial.

    :param hits: the log of the server's hits, which tells how far the crawl is.
    """

    number: int
    process: subprocess.Popen[bytes]
    log: Path
    hits: Path
    hits_before: int
    began: float = field(default_factory=time.time)
    ended: float = 0.0
    signals: list[signal.Signals] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """As of :class:`subprocess.Popen`: negative for a signal."""
        return self.process.returncode

    @property
    def died(self) -> bool:
        return self.exit_code == -signal.SIGKILL

    @property
    def was_graceful(self) -> bool:
        """Whether it ended well, of itself or because it was asked to, once."""
        return self.exit_code == 0 and len(self.signals) <= 1

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def hits_made(self) -> int:
        return count_lines(self.hits) - self.hits_before

    def send(self, what: signal.Signals) -> None:
        """Send a signal to this very process, if it has not ended."""
        self.process.send_signal(what)
        self.signals.append(what)

    def sleep(self, seconds: float) -> bool:
        """Wait for a moment. False if the process ended before it."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return True
        return False

    def sleep_until_hits(self, count: int) -> bool:
        """Wait until the process has made *count* hits. False if it ended before."""
        end = time.monotonic() + LIMIT
        while self.hits_made() < count:
            if not self.sleep(POLL):
                return False
            if time.monotonic() > end:
                raise TookTooLong(self.tail())
        return True

    def wait(self) -> None:
        """Wait for the end."""
        if self.sleep(LIMIT):
            raise TookTooLong(self.tail())

    def tail(self) -> str:
        return f"run {self.number}, {self.log}:\n" + "\n".join(self.text.splitlines()[-30:])


class Runner:
    """Starts processes, and knows those that have not ended."""

    def __init__(self) -> None:
        self._live: set[subprocess.Popen[bytes]] = set()
        self._stopped = False
        self._lock = threading.Lock()

    @contextmanager
    def running(
        self, number: int, arguments: list[str], directory: Path, log: Path, hits: Path, fault: str | None = None
    ) -> Iterator[Run]:
        """Start a crawl with ``python -m scrapy``, or with a fault in it. When the block ends, the process has."""
        program = ["-m", "scrapy"] if fault is None else [str(HERE / "fault.py")]
        before = count_lines(hits)
        process = self._start([sys.executable, *program, *arguments], directory, log, fault)
        run = Run(number, process, log, hits, before)
        try:
            yield run
            run.wait()
        finally:
            process.kill()
            process.wait()
            run.ended = time.time()
            self._live.discard(process)

    def _start(self, command: list[str], directory: Path, log: Path, fault: str | None) -> subprocess.Popen[bytes]:
        with self._lock, log.open("wb") as output:
            if self._stopped:
                raise TookTooLong("The session has ended")
            process = subprocess.Popen(
                command,
                cwd=directory,
                env={**os.environ, **({} if fault is None else {"CRASH_FAULT": fault})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._live.add(process)
        return process

    def stop(self) -> None:
        """End whatever still runs, and start nothing more."""
        with self._lock:
            self._stopped = True
            for process in list(self._live):
                process.kill()


def count_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0
