"""One crawl in a fresh process and a fresh directory: run it, check what it brought, give its numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from resource import struct_rusage
from tempfile import TemporaryDirectory
from threading import Timer
from typing import Any

from benchmarks.bench_server import ROOT, Site
from benchmarks.bench_settings import EXTENSIONS, FREEZER, METER_FILE

MODES: dict[str, list[str]] = {
    "memory": [],
    "jobdir": ["-s", "JOBDIR=job"],
    "t8": ["-s", "JOBDIR=job", "-s", 'ADDONS={"scrapy_t8.T8Addon": 500}'],
    # In-memory once more: how far its ratios are from one is how far to trust the others.
    "control": [],
}
MODES["frozen"] = ["-s", f"EXTENSIONS={json.dumps(EXTENSIONS | FREEZER)}"]
"""In-memory with T8's setting of the garbage collector: what T8 costs apart from what that saves."""
MODES["unfrozen"] = [*MODES["t8"], "-s", "T8_GC_FREEZE=False"]
"""T8 without what it saves."""
MODES["core"] = [*MODES["t8"], "-s", "T8_DEDUP=off", "-s", "T8_ENABLE_INTEGRITY_CHECK=False"]
"""T8 without any books of items."""
MODES["integrity"] = [*MODES["t8"], "-s", "T8_ITEM_KEY=sku", "-a", "expects=1", "-s", "T8_ENABLE_INTEGRITY_CHECK=False"]
"""T8 with a key for each item, and each item expected; without the report at the end. For the scenario ``pages``."""
MODES["waiting"] = [
    *MODES["t8"],
    # Pages that the site does not have fail once, and are not due again before the end of the crawl.
    *("-a", "busy=1000", "-s", "RETRY_HTTP_CODES=404", "-s", "T8_RETRY_BASE=3600", "-s", "T8_RETRY_CAP=3600"),
    *("-s", "T8_RETRY_JITTER=0", "-s", "T8_RETRY_WAIT=0"),
]
"""T8 with a thousand failed requests that wait. For the scenario ``ready``."""
FEED_FILE = "items.jsonl"
LOG_FILE = "log"
TIME_LIMIT = 900
LOG_LINES = 25
MAXRSS_PER_MB = 1024 * 1024 if sys.platform == "darwin" else 1024


class CrawlFailed(Exception):
    """A crawl did not do its work, so its numbers mean nothing."""

    def __init__(self, problem: str, log: str) -> None:
        super().__init__(problem)
        self.log_tail = "\n".join(log.splitlines()[-LOG_LINES:])


@dataclass(frozen=True)
class Crawl:
    """What one crawl cost."""

    cpu: float
    """CPU seconds, user and system, from the opened spider to the end of the process."""
    process_cpu: float
    """CPU seconds of the whole process, with interpreter start-up and imports."""
    seconds: float
    """Wall time by Scrapy's own start_time and finish_time."""
    pages: int
    """Responses received."""
    peak_mb: float
    """Greatest resident size."""


def crawl(spider: str, mode: str, site: Site, pages: int, directory: Path | None) -> Crawl:
    """Crawl the site to its end; raises CrawlFailed unless every page and item came exactly once."""
    with TemporaryDirectory(prefix="t8-bench-", dir=directory, ignore_cleanup_errors=True) as name:
        return crawl_in(Path(name), spider, mode, site, pages)


def crawl_in(workdir: Path, spider: str, mode: str, site: Site, pages: int, under: Sequence[str] = ()) -> Crawl:
    """Crawl in the fresh directory *workdir*, which stays. *under* is the command that runs the interpreter, if any."""
    exit_code, usage = _run([*under, *_command(spider, mode, site)], workdir)
    meter = _read_meter(workdir)
    problem = _process_problem(exit_code, meter, site.paths, mode) or _feed_problem(workdir / FEED_FILE, pages)
    if problem:
        log = (workdir / LOG_FILE).read_text(errors="replace")
        raise CrawlFailed(f"the {mode} crawl of {spider!r}: {problem}", log)
    return _crawl_of(meter, usage)


def _command(spider: str, mode: str, site: Site) -> list[str]:
    scrapy = [sys.executable, "-m", "scrapy", "crawl", spider]
    return [*scrapy, "-a", f"site={site.url}", "-O", FEED_FILE, *MODES[mode]]


def _run(command: list[str], workdir: Path) -> tuple[int, struct_rusage]:
    # ru_maxrss of a child starts at the size of the process that forked it: keep this one small (no Scrapy
    # imported, no site built here), or all modes look alike.
    with (
        (workdir / LOG_FILE).open("wb") as log,
        subprocess.Popen(command, cwd=workdir, env=environment(), stdout=log, stderr=log) as process,
    ):
        guard = Timer(TIME_LIMIT, process.kill)
        guard.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        finally:
            guard.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage


def environment() -> dict[str, str]:
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    ours = {"PYTHONPATH": os.pathsep.join(paths), "SCRAPY_SETTINGS_MODULE": "benchmarks.bench_settings"}
    return os.environ | ours


def _read_meter(workdir: Path) -> dict[str, Any]:
    file = workdir / METER_FILE
    numbers: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return numbers


def _process_problem(exit_code: int, meter: dict[str, Any], pages: int, mode: str) -> str | None:
    if exit_code:
        return f"the process ended with {exit_code}"
    if not meter:
        return "it left no numbers"
    reason = "retries_waiting" if mode == "waiting" else "finished"
    if meter["reason"] != reason:
        return f"it ended as {meter['reason']!r}, not as {reason!r}"
    if meter["errors"]:
        return f"it logged {meter['errors']} errors"
    if meter["responses"] != pages:
        return f"it received {meter['responses']} responses from a site of {pages} pages"
    return None


def _feed_problem(feed: Path, pages: int) -> str | None:
    try:
        lines = feed.read_text().splitlines()
        seen = Counter(int(json.loads(line)["sku"]) for line in lines)
    except (OSError, ValueError, TypeError) as error:
        return f"its feed cannot be read: {error}"
    missing = set(range(pages)) - set(seen)
    twice = [number for number, count in seen.items() if count > 1]
    if missing or len(lines) != pages:
        return f"{len(lines)} items of {pages}: {len(missing)} missing, {len(twice)} more than once"
    return None


def _crawl_of(meter: dict[str, Any], usage: struct_rusage) -> Crawl:
    return Crawl(
        cpu=meter["cpu"],
        process_cpu=usage.ru_utime + usage.ru_stime,
        seconds=meter["seconds"],
        pages=meter["responses"],
        peak_mb=usage.ru_maxrss / MAXRSS_PER_MB,
    )
