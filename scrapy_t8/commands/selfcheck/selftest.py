"""Does the package work on this machine? Each check is a function that raises if it does not."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from scrapy_t8.config.settings import Config
from scrapy_t8.errors import JobLocked
from scrapy_t8.report.files import write_report
from scrapy_t8.service import T8ResumeAndRetry
from scrapy_t8.stores.sqlite.store import SQLiteStore

from .collector import LIST
from .processes import lines, run, wait_until

PAGES = 400  # Pages of the crawl
TAKEN = ("max_workers", "durability", "batch_update_size", "enable_compression")  # Settings that the checks use

_settings: ContextVar[dict[str, Any]] = ContextVar("settings")


class SelfTestFailed(Exception):
    """A check has found something wrong."""


def selftest(config: Config, say: Callable[[str], None], *, log_level: str = "CRITICAL") -> bool:
    """Run all checks with settings of *config*, each in a directory of its own. Return whether all have passed."""
    if config.env:
        say(f"The profile {config.env}: {config.max_workers} workers, durability {config.durability}")
    _settings.set({**{name: getattr(config, name) for name in TAKEN}, "log_level": log_level})
    passed = [_passes(check, say) for check in CHECKS]
    return all(passed)


def _passes(check: Callable[[Path], str], say: Callable[[str], None]) -> bool:
    name = check.__name__.strip("_").replace("_", " ")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="t8-selftest-", ignore_cleanup_errors=True) as folder:
        try:
            result = check(Path(folder))
        except Exception as error:
            say(f"{name:<20} FAILED  {type(error).__name__}: {error}")
            for line in lines(Path(folder) / "log")[-20:]:
                say(f"    {line}")
            return False
    say(f"{name:<20} ok      {result} ({time.monotonic() - began:.1f} s)")
    return True


def _must(holds: bool, otherwise: str) -> None:
    if not holds:
        raise SelfTestFailed(otherwise)


def _service(folder: Path, **more: object) -> T8ResumeAndRetry:
    return T8ResumeAndRetry({"state_dir": str(folder / "state"), **_settings.get(), **more})


def _page_in_state(folder: Path) -> int:
    with _service(folder, enable_auto_retry=False) as t8:
        point = t8.get_resume_point(LIST)
        return point.current_page if point else 0


def _store(folder: Path) -> str:
    with _service(folder, enable_auto_retry=False) as t8, t8.state_manager.batch():
        for page in range(1, 1001):
            t8.create_resume_point(LIST, page, page, metadata={"tag": "汽车交通"})
    page = _page_in_state(folder)
    _must(page == 1000, f"the resume point is page {page}")
    return "1000 resume points written, the last one read back"


def _lock(folder: Path) -> str:
    first, second = (SQLiteStore(folder / "state/t8") for _ in range(2))
    first.open()
    try:
        second.open()
    except JobLocked:
        first.close()
    else:
        raise SelfTestFailed("two processes can own one state: flock does not work on this file system")
    second.open()
    second.close()
    return "a second owner is refused, and let in after the first"


def _kill_and_recover(folder: Path) -> str:
    out, log = folder / "out", folder / "log"
    arguments = ("collector", str(folder / "state"), str(out), "60", "0.01")
    status = run(*arguments, "50", log=log, kill_when=lambda: len(lines(out)) >= 20)
    _must(status == -9, f"the collector was to be killed, but ended with {status}")
    done, page = len(lines(out)), _page_in_state(folder)
    _must(done - 1 <= page <= done, f"{done} pages were done, the resume point says {page}")
    _must(run(*arguments, log=log) == 0, "the second run failed")
    pages = {int(line.split()[1].rstrip(":")) for line in lines(out)}
    _must(pages == set(range(1, 61)), "pages are missing")
    return f"kill -9 after {done} pages, resumed after {page}, {len(pages)} of 60 in the end"


def _crawl_and_report(folder: Path) -> str:
    job, feed, log = folder / "job", folder / "items.jsonl", folder / "log"
    arguments = ("crawl", str(job), str(feed), str(PAGES))
    status = run(*arguments, log=log, kill_when=lambda: len(lines(feed)) >= PAGES // 3)
    if status == -9:
        _must(run(*arguments, log=log) == 0, "the second run failed")
    pages = [json.loads(line)["page"] for line in lines(feed)]
    different = len(set(pages))
    _must(sorted(pages) == list(range(PAGES)), f"{PAGES - different} items lost, {len(pages) - different} twice")
    report = write_report(job)
    difference = report["ledger"]["requests"]["difference"]
    _must(report["job"]["finished"] and not difference, f"the report says: {report['ledger']}")
    _must((job / "report/report.json").exists(), "there is no report.json")
    if status != -9:
        return "not killed in time"
    return f"{len(pages)} items exactly once after kill -9, the report balances"


def _retry(folder: Path) -> str:
    tries: list[str] = []

    def handler(target: str, metadata: dict[str, Any]) -> bool:
        tries.append(target)
        return len(tries) >= 3

    with _service(folder, retry_base=0.05, retry_cap=0.1) as t8:
        t8.retry_manager.register_retry_handler("SELFTEST", handler)
        t8.add_failed_task("SELFTEST", "a target", "it failed")
        wait_until(lambda: not any(t8.state_manager.task_counts()), "the task to succeed")
    return f"a task that failed twice succeeded on try {len(tries)}"


CHECKS = (_store, _lock, _kill_and_recover, _retry, _crawl_and_report)
