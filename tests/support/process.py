"""Processes that tests start: crawls, which are forked off a process that has imported Scrapy, and other programs."""

from __future__ import annotations

import atexit
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing import connection, get_context
from pathlib import Path
from typing import Any

HANG = 900.0
"""Seconds after which something is taken to hang. A guard, so that no test waits for ever: it measures no speed."""
PAUSE = 0.01
"""Seconds between two looks at something that is waited for."""
CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.support.preload"])
ROOT = Path(__file__).parents[2]


class Hangs(AssertionError):
    """The hang guard has gone off."""


def wait_until(holds: Callable[[], Any], what: str = "it", *, meanwhile: Callable[[], bool] = lambda: True) -> None:
    """Wait until *holds* returns something true.

    :param meanwhile: what has to be true until then, such as that a process is alive.
    :raises Hangs: if that takes longer than the hang guard allows.
    """
    end = time.monotonic() + HANG
    while not holds():
        if not meanwhile():
            assert holds(), f"{what} did not come true, and now it cannot"
            return
        if time.monotonic() > end:
            raise Hangs(f"hang guard: {what} did not come true in {HANG:.0f} s")
        time.sleep(PAUSE)


def environment(*paths: Path, **variables: str) -> dict[str, str]:
    """Return the environment for a process: this one's without settings of crawls, with *paths* and the repository."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("T8_", "SCRAPY_"))}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    found = os.pathsep.join([*map(str, paths), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**kept, "PYTHONPATH": found, "PYTHONUNBUFFERED": "1", **variables}


def run(
    *arguments: str | Path, text: bool = True, check: bool = False, **options: Any
) -> subprocess.CompletedProcess[Any]:
    """Run ``python *arguments`` to its end, and return its status and what it has written."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=text, check=check, timeout=HANG, **options)


class Process:
    """A running ``python *arguments``, whose standard error goes to *log*, and standard output to *output*.

    :param before: called in the process before anything else. It has to be a function of a module.
    :param fresh: with an interpreter of its own, which has imported nothing: for moments of its start.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        directory: Path,
        *,
        environment: Mapping[str, str],
        log: Path,
        output: Path | None = None,
        before: Callable[[], object] | None = None,
        fresh: bool = False,
    ) -> None:
        self.log = log
        self._what = " ".join(arguments)
        target = (list(arguments), directory, dict(environment), log, output or log, before)
        self._process = Interpreter(*target) if fresh else Forked(*target)
        self._process.start()
        pid = self._process.pid
        assert pid is not None
        self.pid = pid

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    @property
    def code(self) -> int | None:
        """The exit status; minus the signal that ended the process; None as long as it is alive."""
        return self._process.exitcode

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if the process is alive."""
        if self.is_alive:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(self.pid, number)

    def join(self, seconds: float) -> bool:
        """Wait for the end, but no longer than so many seconds. Return whether the process has ended."""
        self._process.join(seconds)
        return not self.is_alive

    def wait(self) -> int:
        """Wait for the end, and return the exit status."""
        if not self.join(HANG):
            self.kill()
            raise Hangs(f"hang guard: {self._what} took more than {HANG:.0f} s:\n{self.log.read_text()[-3000:]}")
        assert self.code is not None
        return self.code

    def kill(self) -> int:
        """End the process with SIGKILL, if it has not ended, and return its exit status."""
        self._process.kill()
        self._process.join()
        assert self.code is not None
        return self.code


class Forked:
    """A process that is forked off, of which several threads may ask.

    To start a process, and to ask for its exit status, reads the status of *any* process of :mod:`multiprocessing` that
    has ended. Two threads that read the same one at once would find 255, so one at a time asks.
    """

    _lock = threading.Lock()

    def __init__(self, *target: object) -> None:
        self._process = CONTEXT.Process(target=_main, args=target, daemon=True)

    def start(self) -> None:
        with self._lock:
            self._process.start()
        self.pid = self._process.pid

    def is_alive(self) -> bool:
        with self._lock:
            return self._process.is_alive()

    @property
    def exitcode(self) -> int | None:
        with self._lock:
            return self._process.exitcode

    def join(self, seconds: float | None = None) -> None:
        connection.wait([self._process.sentinel], seconds)

    def kill(self) -> None:
        with self._lock:
            self._process.kill()


class Interpreter:
    """A process with an interpreter of its own, as :mod:`multiprocessing` would have it."""

    def __init__(
        self,
        arguments: list[str],
        directory: Path,
        environment: dict[str, str],
        log: Path,
        output: Path,
        before: Callable[[], object] | None,
    ) -> None:
        self._start = lambda out, err: subprocess.Popen(
            [sys.executable, *arguments],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            preexec_fn=before,
            start_new_session=True,
        )
        self._files = (output, log)

    def start(self) -> None:
        output, log = self._files
        with output.open("wb") as out, log.open("ab" if log == output else "wb") as err:
            self._process = self._start(out, err)
        self.pid = self._process.pid

    def is_alive(self) -> bool:
        return self._process.poll() is None

    @property
    def exitcode(self) -> int | None:
        return self._process.poll()

    def join(self, seconds: float | None = None) -> None:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    def kill(self) -> None:
        self._process.kill()


def _main(
    arguments: list[str],
    directory: Path,
    environment: dict[str, str],
    log: Path,
    output: Path,
    before: Callable[[], object] | None,
) -> None:
    """Do what the interpreter does, in a process that was forked."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # who is in the background may have to ignore it
    for stream, file in ((2, log), (1, output)):
        os.dup2(2 if (stream, file) == (1, log) else _opened(file), stream)
    sys.path[:0] = environment["PYTHONPATH"].split(os.pathsep)
    if before is not None:
        before()
    try:
        if arguments[0] == "-m":
            sys.argv = ["", *arguments[2:]]
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = list(arguments)
            runpy.run_path(arguments[0], run_name="__main__")
    finally:
        # A process of multiprocessing ends without them.
        atexit._run_exitfuncs()


def _opened(file: Path) -> int:
    return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
