"""What spiders under test use inside of a crawl: notes, a place to end the run at, a file with the statistics.

The environment says what is to happen: ``CRAWL_SITE`` is the URL of the site, ``CRAWL_NOTES`` and ``CRAWL_STATS`` are
files, ``CRAWL_END`` and ``CRAWL_SWITCH`` are explained below. ``CRAWL_SWITCH=an hour later`` puts the clock forward.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

from scrapy import signals

from scrapy_t8.core.job import opening

SITE = os.environ.get("CRAWL_SITE", "")
_HOW, _, _WHERE = os.environ.get("CRAWL_END", "").partition(":")
_POINT, _, _NUMBER = _WHERE.partition(":")
_passed: Counter[str] = Counter()
"""How often each point was passed."""


def note(text: str) -> None:
    """Add a line to the notes of this crawl. A kill right after it does not lose the line."""
    fd = os.open(os.environ["CRAWL_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{text}\n".encode())
    os.close(fd)


def may_end(point: str) -> None:
    """End the run here, if ``CRAWL_END`` says so.

    It is ``kill:POINT`` for SIGKILL, ``stop:POINT`` for SIGINT, ``remove FILE:POINT`` (``empty``, ``move``) to live on;
    ``:3`` after it means at the third passing.
    """
    _passed[point] += 1
    if point != _POINT or _passed[point] != int(_NUMBER or 1):
        return
    note(f"! {_HOW} at {point}")
    with open(f"{os.environ['CRAWL_NOTES']}.passed", "a") as file:
        file.write("".join(f"{name}\n" for name in _passed))
    if _HOW.startswith("remove "):
        os.unlink(_HOW.removeprefix("remove "))
    elif _HOW.startswith("empty "):
        os.truncate(_HOW.removeprefix("empty "), 0)
    elif _HOW.startswith("move "):
        os.rename(_HOW.removeprefix("move "), "moved-away")
    else:
        os.kill(os.getpid(), signal.SIGKILL if _HOW == "kill" else signal.SIGINT)


def switched_on(name: str) -> bool:
    """Return whether ``CRAWL_SWITCH`` names *name*: for a spider that is another in another run."""
    return name in os.environ.get("CRAWL_SWITCH", "").split(",")


def _an_hour_later() -> None:
    """Put the clock of this crawl forward: that of Python, and that of the job."""
    now = time.time
    time.time = lambda: now() + 3600
    opening.open_job.__defaults__ = (time.time,)


if switched_on("an hour later"):
    _an_hour_later()


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class StatsFile:
    """An extension that writes all statistics as JSON to ``CRAWL_STATS`` when the engine has stopped."""

    @classmethod
    def from_crawler(cls, crawler: Any) -> StatsFile:
        return cls(crawler)

    def __init__(self, crawler: Any) -> None:
        self._crawler = crawler
        crawler.signals.connect(self.spider_closed, signals.spider_closed)
        crawler.signals.connect(self.engine_stopped, signals.engine_stopped)

    def spider_closed(self, reason: str) -> None:
        # A project may be without the extension that does this.
        self._crawler.stats.set_value("finish_reason", reason)

    def engine_stopped(self) -> None:
        stats = self._crawler.stats.get_stats()
        Path(os.environ["CRAWL_STATS"]).write_text(json.dumps(stats, default=str))
