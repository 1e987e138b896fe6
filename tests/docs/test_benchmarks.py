"""Each benchmark at its smallest: its figures say nothing then, but it runs to its end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import count
from pathlib import Path
from subprocess import PIPE, CompletedProcess
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.process import ROOT, Process, environment

pytestmark = pytest.mark.slow

SMALLEST = {
    "books": "--crawls 1 --pages 600",
    "keys": "--keys 500 --items 200",
    "letters": "--letters 200 --runs 1",
    "overhead": "--scenario links --modes memory,t8 --rounds 2 --pages 20",
    "pauses": "--tasks 20 --outputs 100",
    "report": "--items 500",
    "scale": "--seen 1000 --pending 500 --pages 100 --runs 1",
    "service": "--points 50 --tasks 50",
    "slugs": "--lines 5000 --runs 1 --seconds 0.1",
    "status": "--seen 2000 --pending 200 --dead 40 --runs 1",
}
"""The arguments of each benchmark."""
NEEDS_VALGRIND = {"instructions"}


class Forked:
    """Stands for :mod:`subprocess` in a benchmark: each process is forked off one that has imported Scrapy."""

    PIPE = PIPE

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._numbers = count()

    def run(self, command: Sequence[str], **options: Any) -> CompletedProcess[str]:
        """Run a command to its end. Return what it has written."""
        process, output = self._start(command, **options)
        assert process.wait() == 0, process.log.read_text()
        return CompletedProcess(command, 0, output.read_text())

    def Popen(self, command: Sequence[str], **options: Any) -> Any:  # noqa: N802
        """Start a command."""
        process, _ = self._start(command, **options)
        poll: Callable[[], int | None] = lambda: process.code  # noqa: E731
        return SimpleNamespace(pid=process.pid, poll=poll, kill=process.kill, wait=process.wait)

    def _start(self, command: Sequence[str], cwd: Path = ROOT, **options: Any) -> tuple[Process, Path]:
        _, *arguments = command
        log, output, code = (self._directory / f"{next(self._numbers)}.{what}" for what in ("log", "output", "py"))
        if arguments[0] == "-c":
            code.write_text(arguments[1])
            arguments = [str(code), *arguments[2:]]
        variables = options.get("env") or environment()
        return Process(arguments, Path(cwd), environment=variables, log=log, output=output), output


@pytest.mark.parametrize("name", SMALLEST)
def test_a_benchmark_runs_to_its_end(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    benchmark = import_module(f"benchmarks.{name}")
    if hasattr(benchmark, "subprocess"):
        monkeypatch.setattr(benchmark, "subprocess", Forked(tmp_path))
    monkeypatch.setattr(sys, "argv", [name, *SMALLEST[name].split()])
    code = benchmark.main()
    said = capsys.readouterr()
    assert code in (0, 1), said.err
    assert "WRONG" not in said.out


def test_every_benchmark_is_run() -> None:
    commands = {file.stem for file in ROOT.glob("benchmarks/[!_]*.py") if "__main__" in file.read_text()}
    assert commands - {"bench_server"} == SMALLEST.keys() | NEEDS_VALGRIND
    for name in NEEDS_VALGRIND:
        import_module(f"benchmarks.{name}")
