"""Make the pictures of the README, in docs/pictures: `make pictures`.

A crawl of the catalogue is killed with kill -9, resumed, and finished. The terminal shows what these commands print,
and a browser shows the report. It needs Chromium and the extra `dev`, and takes about half a minute.
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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.text import Text

PROJECT = Path(__file__).resolve().parent
PICTURES = PROJECT.parent / "docs" / "pictures"
COLUMNS = 100
KILL_AT = 40
"""Lines in the feed after which the crawl is killed."""
CRAWL = "scrapy crawl cars -O items.jsonl -s JOBDIR=jobs/cars"
LIMIT = 120
"""Seconds that a command may take."""
LOG_OF_T8 = re.compile(r"\[scrapy_t8[\w.]*\] \w+: (?P<text>.*)")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="cars-pictures-") as name:
        folder = Path(name)
        shutil.copytree(PROJECT, folder / "project", ignore=shutil.ignore_patterns("__pycache__", "jobs"))
        PICTURES.mkdir(exist_ok=True)
        with serving(folder / "project", "--delay", "0.1", "--fail", "0.25", "--seed", "2") as base:
            draw_terminal(folder / "project", base)
        draw_report(folder / "project" / "jobs" / "cars" / "report" / "report.html")
    for path in sorted(PICTURES.iterdir()):
        print(f"{path.relative_to(PROJECT.parent)}: {path.stat().st_size / 1000:.0f} kB")


@contextmanager
def serving(project: Path, *options: str) -> Iterator[str]:
    """Run the site, and yield its URL."""
    command = [sys.executable, "-m", "catalogue", "--port", "0", *options]
    with subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, text=True) as site:
        assert site.stdout is not None
        try:
            yield site.stdout.readline().strip()
        finally:
            site.kill()


# -- the terminal --------------------------------------------------------------------------------------------------


def draw_terminal(project: Path, base: str) -> None:
    """Draw the kill and the resume of a crawl, and its status."""
    console = Console(width=COLUMNS, record=True, force_terminal=True, file=Path(os.devnull).open("w"))
    # Retries that come soon make the crawl short, and those that are few leave something to show.
    settings = ("-s", "T8_RETRY_BASE=0.1", "-s", "T8_RETRY_CAP=0.5", "-s", "RETRY_TIMES=1")
    crawl = ["scrapy", "crawl", "cars", "-O", "items.jsonl", "-s", "JOBDIR=jobs/cars", "-a", f"base={base}", *settings]
    type_in(console, CRAWL)
    print_log(console, killed(project, crawl))
    console.print("[red]Killed[/]\n")
    type_in(console, CRAWL)
    print_log(console, finished(project, crawl))
    console.print()
    type_in(console, "scrapy t8 status")
    status = in_terminal(project, ["scrapy", "t8", "status", "--jobdir", "jobs/cars"])
    console.print(Text.from_ansi(status.split("\n\n")[0]))
    path = PICTURES / "kill-and-resume.svg"
    console.save_svg(str(path), title="kill -9, and the same command again", unique_id="t8")


def type_in(console: Console, command: str) -> None:
    console.print(f"[bold green]$[/] [bold]{command}[/]", highlight=False)


def print_log(console: Console, log: str) -> None:
    """Print what scrapy_t8 has logged; only of its closing lines more than one line each."""
    for line in log.splitlines():
        found = LOG_OF_T8.search(line)
        if found and "is given up" not in line:
            console.print(Text(found["text"]), highlight=False)


def killed(project: Path, command: Sequence[str]) -> str:
    """Run a crawl, kill it with kill -9 when its feed has some lines, and return its log."""
    log, feed = project / "killed.log", project / "items.jsonl"
    with log.open("wb") as file, subprocess.Popen(module(command), cwd=project, stderr=file) as crawl:
        deadline = time.monotonic() + LIMIT
        while not feed.exists() or feed.read_bytes().count(b"\n") < KILL_AT:
            if crawl.poll() is not None or time.monotonic() > deadline:
                crawl.kill()
                raise SystemExit(f"the crawl was not killed: {log.read_text()}")
            time.sleep(0.02)
        crawl.send_signal(signal.SIGKILL)
    return log.read_text()


def finished(project: Path, command: Sequence[str]) -> str:
    """Run a crawl to its end, and return its log."""
    done = subprocess.run(module(command), cwd=project, capture_output=True, text=True, check=True, timeout=LIMIT)
    return done.stderr


def in_terminal(project: Path, command: Sequence[str]) -> str:
    """Run a command in a terminal, and return what it prints, with colours."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    environment["TERM"] = "xterm-256color"
    with subprocess.Popen(module(command), cwd=project, env=environment, stdin=follower, stdout=follower):
        os.close(follower)
        parts = []
        with suppress(OSError):  # at the end of the command, a terminal has no end of file
            while part := os.read(leader, 65536):
                parts.append(part)
    os.close(leader)
    return b"".join(parts).decode().replace("\r\n", "\n")


def module(command: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", *command]


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
