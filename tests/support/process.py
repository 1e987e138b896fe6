"""Processes that tests start: crawls, which are forked off a process that has imported Scrapy, and other programs."""

from __future__ import annotations

import atexit
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import get_context
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
    ) -> None:
        self.log = log
        self._what = " ".join(arguments)
        target = (list(arguments), directory, dict(environment), log, output or log, before)
        self._process = CONTEXT.Process(target=_main, args=target, daemon=True)
        self._process.start()
        pid = self._process.pid
        assert pid is not None
        self.pid = pid

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if the process is alive."""
        if self.is_alive:
            os.kill(self.pid, number)

    def wait(self) -> int:
        """Wait for the end. Returns the exit status; minus the signal that ended the process."""
        self._process.join(HANG)
        hangs = self.is_alive
        if hangs:
            self.kill()
        code = self._process.exitcode
        if hangs:
            raise Hangs(f"hang guard: {self._what} took more than {HANG:.0f} s:\n{self.log.read_text()[-3000:]}")
        assert code is not None
        return code

    def kill(self) -> int:
        """End the process with SIGKILL, if it has not ended. Returns its exit status."""
        self._process.kill()
        self._process.join()
        code = self._process.exitcode
        assert code is not None
        return code


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
