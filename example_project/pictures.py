"""Make the pictures of the README, in docs/pictures: `make pictures`.

A crawl of the catalogue is killed with kill -9, resumed, and finished: the terminal shows what these commands print.
A browser shows the report of a crawl of which some pages fail. It needs Chromium and the extra `dev`, and takes about a
minute.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import StringIO
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.text import Text

PROJECT = Path(__file__).resolve().parent
PICTURES = PROJECT.parent / "docs" / "pictures"
COLUMNS = 100
KILL_AT = 150
"""Lines in the feed after which the crawl is killed."""
CRAWL = "scrapy crawl cars -O items.jsonl -s JOBDIR=jobs/cars -a base=$SITE"
STATUS = "scrapy t8 status --jobdir jobs/cars"
COUNT = "wc -l items.jsonl"
SLOW = ("--delay", "0.1")
FAILING = (*SLOW, "--fail", "0.1", "--seed", "8")
"""With this seed, no list page fails twice, and few cars do."""
SETTINGS = {"T8_RETRY_BASE": "0.1", "T8_RETRY_CAP": "0.5"}
"""Retries that come soon make a crawl short."""
KILLED = "Killed"
LIMIT = 300
"""Seconds that a command may take."""
FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""What a picture would load from the network."""
LOG_OF_T8 = re.compile(r"\[scrapy_t8[\w.]*\] \w+: (?P<text>.*)")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="cars-pictures-") as name:
        folder = Path(name)
        PICTURES.mkdir(exist_ok=True)
        with project_in(folder / "whole", *SLOW) as shell:
            draw_terminal(shell)
        with project_in(folder / "failing", *FAILING) as shell:
            crawl = f"{CRAWL} -s RETRY_TIMES=1"  # so that something is left to show
            shell.killed(crawl)
            shell.finished(crawl)
        draw_report(folder / "failing" / "jobs" / "cars" / "report" / "report.html")
    for path in sorted(PICTURES.iterdir()):
        print(f"{path.relative_to(PROJECT.parent)}: {path.stat().st_size / 1000:.0f} kB")


@contextmanager
def project_in(folder: Path, *options: str) -> Iterator[Shell]:
    """Copy the project to *folder*, and run the site with *options*. Yield a shell in the folder."""
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("__pycache__", "jobs"))
    command = [sys.executable, "-m", "catalogue", "--port", "0", *options]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as site:
        assert site.stdout is not None
        try:
            yield Shell(folder, {**SETTINGS, "SITE": site.stdout.readline().strip()})
        finally:
            site.kill()


# -- the terminal --------------------------------------------------------------------------------------------------


def draw_terminal(shell: Shell) -> None:
    """Draw the kill of a crawl, its status, the resume, and how many items there are."""
    console = Console(width=COLUMNS, record=True, force_terminal=True, file=StringIO())
    type_in(console, CRAWL)
    print_log(console, shell.killed(CRAWL))
    type_in(console, STATUS)
    console.print(Text.from_ansi(shell.in_terminal(STATUS).split("\n\n")[0]))
    console.print()
    type_in(console, CRAWL)
    print_log(console, shell.finished(CRAWL))
    type_in(console, COUNT)
    console.print(shell.in_terminal(COUNT).strip(), highlight=False)
    path = PICTURES / "kill-and-resume.svg"
    drawing = console.export_svg(title="kill -9, and the same command again", unique_id="t8")
    path.write_text(FONTS.sub("", drawing), encoding="utf-8")


def type_in(console: Console, command: str) -> None:
    console.print(f"[bold green]$[/] [bold]{command}[/]", highlight=False)


def print_log(console: Console, log: str) -> None:
    """Print what scrapy_t8 has logged, and the end of a process that was killed."""
    is_of_t8 = False
    for line in log.splitlines():
        found = LOG_OF_T8.search(line)
        is_of_t8 = found is not None or (is_of_t8 and line.startswith("  "))
        if is_of_t8:
            console.print(Text(found["text"] if found else line), highlight=False)
        elif line == KILLED:
            console.print(Text(line, style="red"))
    console.print()


class Shell:
    """Runs the lines that the picture shows, in the folder of the project."""

    def __init__(self, project: Path, environment: dict[str, str]) -> None:
        hidden = ("COLUMNS", "NO_COLOR")
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        kept = {name: value for name, value in os.environ.items() if name not in hidden}
        self._environment = {**kept, "PATH": path, "TERM": "xterm-256color", **environment}
        self._project = project

    def killed(self, line: str) -> str:
        """Run a crawl, kill it with kill -9 when its feed has some lines, and return its log."""
        log, feed = self._project / "killed.log", self._project / "items.jsonl"
        with log.open("wb") as file, self._started(line, stderr=file) as crawl:
            deadline = time.monotonic() + LIMIT
            while not feed.exists() or feed.read_bytes().count(b"\n") < KILL_AT:
                if crawl.poll() is not None or time.monotonic() > deadline:
                    crawl.kill()
                    raise SystemExit(f"the crawl was not killed: {log.read_text(encoding='utf-8')}")
                time.sleep(0.02)
            crawl.send_signal(signal.SIGKILL)
        return f"{log.read_text(encoding='utf-8')}\n{KILLED}"

    def finished(self, line: str) -> str:
        """Run a crawl to its end, and return its log."""
        with self._started(line, stderr=subprocess.PIPE) as crawl:
            _, log = crawl.communicate(timeout=LIMIT)
        return log.decode()

    def in_terminal(self, line: str) -> str:
        """Run a command in a terminal, and return what it prints, with colours."""
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
        with self._started(line, stdin=follower, stdout=follower):
            os.close(follower)
            parts = []
            with suppress(OSError):  # when the command has ended, reading from a terminal is an error
                while part := os.read(leader, 65536):
                    parts.append(part)
        os.close(leader)
        return b"".join(parts).decode().replace("\r\n", "\n")

    def _started(self, line: str, **streams: Any) -> subprocess.Popen[bytes]:
        # With exec, the shell becomes the command, so that the signal goes to the crawl.
        return subprocess.Popen(f"exec {line}", shell=True, cwd=self._project, env=self._environment, **streams)


# -- the report ----------------------------------------------------------------------------------------------------


def draw_report(page_file: Path) -> None:
    """Take pictures of the first part of a report, light and dark."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        for scheme, name in (("light", "report.png"), ("dark", "report-dark.png")):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            page.goto(page_file.as_uri())
            page.screenshot(path=PICTURES / name)
        browser.close()


def chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    raise SystemExit("pictures of report.html need Chromium: install it (Debian: apt-get install chromium)")


if __name__ == "__main__":
    main()
