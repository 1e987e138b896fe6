"""Follows a page of the docs: writes its files, runs its commands in one shell, and compares what they print."""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support.process import ROOT, environment

DOCS = ROOT / "docs"
PORT = "8000"
"""The port of the local sites on the pages."""
VARIES = "<!-- numbers vary -->"
"""Stands before a block whose numbers depend on the moment of a kill."""
BLOCK = re.compile(
    rf'^(?P<varies>{VARIES}\n)?```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```$',
    re.MULTILINE | re.DOTALL,
)
PATTERNS = (
    (r"(job|service)_\d{8}_\d{6}_[0-9a-f]{4}", "JOB"),
    (r"DETAIL_COLLECTION_[0-9a-f]{8}", "TASK"),
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?(\+00:00)?", "TIME"),
    (r"in [\d.,]+ s \([\d.,]+ pages/min, [\d.,]+ items/min\)", "SPEED"),
    (r" +", " "),
)
"""What is different on each machine, and the word that stands for it; columns are as wide as their values."""
MOMENTS = """#!/bin/sh
# Stands for sleep: waits for the moment of a kill, however fast this machine is. Plain Scrapy stores items at its end.
is_reached() {
    case $1 in
        6) [ "$(cat cars.jsonl 2> /dev/null | wc -l)" -ge 3 ];;
        5) [ "$(cat cars.jsonl 2> /dev/null | wc -l)" -ge 9 ];;
        4) grep -q "404.*car/7" crawl.log;;
    esac
}
tries=0
until is_reached "$1" || [ $tries -gt 9000 ]; do
    /bin/sleep 0.05
    tries=$((tries + 1))
done
"""


class Block(NamedTuple):
    """A block of code on a page. *varies* says whether its numbers depend on the moment of a kill."""

    language: str
    title: str
    text: str
    varies: bool


class Step(NamedTuple):
    """A command, and what the page says that it prints."""

    command: str
    output: list[str]


def blocks(page: Path) -> list[Block]:
    """Return the blocks of code of a page."""
    found = BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [Block(block["language"], block["title"] or "", block["text"], bool(block["varies"])) for block in found]


def steps(text: str) -> list[Step]:
    """Return the commands of a block in the language ``console``."""
    found: list[Step] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append(Step(line[2:], []))
        else:
            found[-1].output.append(line)
    return found


def free_port() -> int:
    """Return a port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Session:
    """A shell in a directory of its own, in which pages are followed. To be used as a context."""

    def __init__(self, directory: Path) -> None:
        self.home = directory / "me"
        self._port = str(free_port())
        self._programs = directory / "bin"

    def __enter__(self) -> Session:
        self.home.mkdir(parents=True)
        self._programs.mkdir()
        self._script("sleep", MOMENTS)
        self._script("python", f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
        self._script("scrapy", f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m scrapy "$@"\n')
        variables = environment()
        variables["PATH"] = f"{self._programs}:{variables['PATH']}"
        self._shell = subprocess.Popen(
            ["bash", "--norc"],
            cwd=self.home,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        return self

    def __exit__(self, *error: object) -> None:
        self.run("kill -9 $(jobs -p) 2> /dev/null")
        assert self._shell.stdin is not None
        self._shell.stdin.close()
        self._shell.wait()

    @property
    def directory(self) -> Path:
        """The directory in which the shell is."""
        return Path(self.run("pwd")[0].replace("/home/me", str(self.home)))

    def run(self, command: str) -> list[str]:
        """Run a command, and return the lines that it prints. Paths and port are as on the pages."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"{self._local(command)}\necho; echo end-of-command\n")
        self._shell.stdin.flush()
        lines = list(iter(self._shell.stdout.readline, "end-of-command\n"))
        lines = [line for line in lines if not line.startswith("bash: line ")]  # "Killed", of a background process
        text = "".join(lines).removesuffix("\n").replace(str(self.home), "/home/me").replace(self._port, PORT)
        return text.splitlines()

    def write(self, title: str, text: str) -> None:
        """Write a file of a page. In a file that is there, settings replace the lines of settings with their names."""
        path = self.directory / title
        text = self._local(text)
        if path.name == "settings.py":
            names = re.findall(r"^(\w+) = ", text, re.MULTILINE)
            kept = [line for line in path.read_text().splitlines() if line.partition(" = ")[0] not in names]
            text = "\n".join([*kept, text])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def open_shop(self, until: str, **settings: object) -> None:
        """Follow the tutorial until it writes the file *until*. Then add *settings* to those of the project."""
        for _ in self.follow(DOCS / "tutorial.md", until=until):
            pass
        if settings:
            self.write("shop/settings.py", "".join(f"{name} = {value!r}\n" for name, value in settings.items()))

    def follow(self, page: Path, until: str = "") -> Iterator[tuple[Block, Step, list[str]]]:
        """Write and run all that is on a page. Yield each command, and what it has printed."""
        for block in blocks(page):
            if until and block.title == until:
                return
            if block.title:
                self.write(block.title, block.text)
            elif block.language == "console":
                for step in steps(block.text):
                    yield block, step, self.run(step.command)

    def _script(self, name: str, text: str) -> None:
        path = self._programs / name
        path.write_text(text)
        path.chmod(0o755)

    def _local(self, text: str) -> str:
        return text.replace(f":{PORT}", f":{self._port}").replace(f", {PORT})", f", {self._port})")


def check(page: Path, session: Session) -> None:
    """Follow a page to its end. Every command prints what the page says."""
    for block, step, printed in session.follow(page):
        compare(step, printed, varies=block.varies)


def compare(step: Step, printed: list[str], *, varies: bool) -> None:
    """Check that a command has printed what its page says."""
    expected, found = (
        [simple(line, varies=varies) for line in lines if line.strip()] for lines in (step.output, printed)
    )
    text = "".join(f"{line}\n" for line in found)
    assert re.fullmatch("".join(map(pattern, expected)), text), "\n".join([step.command, text, "Expected:", *expected])


def simple(line: str, *, varies: bool) -> str:
    """Return a line without what is different on each machine."""
    for expression, word in PATTERNS:
        line = re.sub(expression, word, line)
    return (re.sub(r"\d+", "N", line) if varies else line).rstrip()


def pattern(line: str) -> str:
    """Return the expression for a line of a page. ``...`` stands for a part of the line, or for whole lines."""
    return r"(?:.*\n)*?" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*") + "\n"
