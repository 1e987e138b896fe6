"""Each benchmark at its smallest: its figures say nothing then, but it runs to its end."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from itertools import count
from pathlib import Path
from resource import RUSAGE_SELF, getrusage, struct_rusage
from subprocess import PIPE, CompletedProcess
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import bench_crawl
from tests.support.process import ROOT, Process, environment

pytestmark = pytest.mark.slow

SMALLEST = (
    "books --crawls 1 --pages 600",
    "frontier --pages 30 --batch 5 --workers 1 --slots 50 --seen 10000",
    "keys --keys 500 --items 200",
    "kills --only scrapy_t8 --pages 60 --kills 1",
    "letters --letters 200 --runs 1",
    "overhead --scenario links --modes memory,t8 --rounds 2 --pages 20",
    "overhead --scenario pages --modes core,integrity --rounds 1 --pages 20",
    "overhead --scenario ready --modes t8,waiting --rounds 1 --pages 20",
    "pauses --tasks 20 --outputs 100",
    "report --items 500",
    "scale --seen 1000 --pending 500 --pages 100 --runs 1",
    "service --points 50 --tasks 50",
    "slugs --lines 5000 --runs 1 --seconds 0.1",
    "status --seen 2000 --pending 200 --dead 40 --runs 1",
)
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
        return SimpleNamespace(pid=process.pid, poll=lambda: process.code, kill=process.kill, wait=process.wait)

    def crawl(self, command: Sequence[str], workdir: Path) -> tuple[int, struct_rusage]:
        """Stand for the measured process of :mod:`benchmarks.bench_crawl`."""
        self.run(command, cwd=workdir, env=bench_crawl.environment())
        return 0, getrusage(RUSAGE_SELF)

    def _start(self, command: Sequence[str], cwd: Path = ROOT, **options: Any) -> tuple[Process, Path]:
        _, *arguments = command
        log, output, code = (self._directory / f"{next(self._numbers)}.{what}" for what in ("log", "output", "py"))
        if arguments[0] == "-c":
            code.write_text(arguments[1])
            arguments = [str(code), *arguments[2:]]
        variables = options.get("env") or environment()
        return Process(arguments, Path(cwd), environment=variables, log=log, output=output), output


@pytest.mark.parametrize("command", SMALLEST)
def test_a_benchmark_runs_to_its_end(
    command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, *arguments = command.split()
    benchmark, forked = import_module(f"benchmarks.{name}"), Forked(tmp_path)
    if hasattr(benchmark, "subprocess"):
        monkeypatch.setattr(benchmark, "subprocess", forked)
    monkeypatch.setattr(bench_crawl, "_run", forked.crawl)
    few = [part.replace("busy=1000", "busy=10") for part in bench_crawl.MODES["waiting"]]
    monkeypatch.setitem(bench_crawl.MODES, "waiting", few)
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    code = benchmark.main()
    said = capsys.readouterr()
    assert code in (0, 1), said.err
    assert "WRONG" not in said.out


def test_a_process_is_measured(tmp_path: Path) -> None:
    code, usage = bench_crawl._run([sys.executable, "-c", "raise SystemExit(3)"], tmp_path)
    assert code == 3
    assert usage.ru_maxrss > 0


def test_every_benchmark_is_run() -> None:
    commands = {file.stem for file in ROOT.glob("benchmarks/[!_]*.py") if "__main__" in file.read_text()}
    run = {command.split()[0] for command in SMALLEST}
    assert commands - {"bench_server"} == run | NEEDS_VALGRIND
    for name in NEEDS_VALGRIND:
        import_module(f"benchmarks.{name}")
