"""Does the pack work on this machine? Each check is a function that raises if it does not."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scrapy_t8.errors import JobLocked
from scrapy_t8.report.files import write_report
from scrapy_t8.service import T8ResumeAndRetry
from scrapy_t8.stores.sqlite.store import SQLiteStore

from .collector import LIST
from .processes import lines, run, run_and_kill, until

PAGES = 400
"""Of the crawl."""


def selftest(say: Callable[[str], None]) -> bool:
    """Run all checks, each in a directory of its own. Returns whether all is well."""
    passed = [_passes(check, say) for check in CHECKS]
    return all(passed)


def _passes(check: Callable[[Path], str], say: Callable[[str], None]) -> bool:
    name = check.__name__.strip("_").replace("_", " ")
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="t8-selftest-", ignore_cleanup_errors=True) as folder:
        try:
            told = check(Path(folder))
        except Exception as error:
            say(f"{name:<20} FAILED  {type(error).__name__}: {error}")
            for line in lines(Path(folder) / "log")[-20:]:
                say(f"    {line}")
            return False
    say(f"{name:<20} ok      {told} ({time.monotonic() - begun:.1f} s)")
    return True


class SelfTestFailed(Exception):
    """Something was not as it should be."""


def _must(holds: bool, what: str) -> None:
    if not holds:
        raise SelfTestFailed(what)


def _service(folder: Path, **more: object) -> T8ResumeAndRetry:
    return T8ResumeAndRetry({"state_dir": str(folder / "state"), "log_level": "CRITICAL", **more})


def _store(folder: Path) -> str:
    with _service(folder, enable_auto_retry=False) as t8, t8.state_manager.batch():
        for page in range(1, 1001):
            t8.create_resume_point(LIST, page, page, metadata={"tag": "汽车交通"})
    with _service(folder, enable_auto_retry=False) as t8:
        point = t8.get_resume_point(LIST)
        _must(point is not None and point.current_page == 1000, f"the resume point is {point}")
    return "1000 resume points written, the last one read back"


def _lock(folder: Path) -> str:
    directory = folder / "state/t8"
    first, second = SQLiteStore(directory), SQLiteStore(directory)
    first.open()
    try:
        second.open()
    except JobLocked:
        first.close()
    else:
        raise SelfTestFailed("two can own one state: flock does not work on this file system")
    second.open()
    second.close()
    return "a second owner is refused, and let in after the first"


def _kill_and_recover(folder: Path) -> str:
    out, arguments = folder / "out", (str(folder / "state"), str(folder / "out"), "60", "0.01")
    status = run_and_kill("collector", *arguments, when=lambda: len(lines(out)) >= 20, log=folder / "log")
    _must(status == -9, f"the collector was to be killed, but ended with {status}")
    told = len(lines(out))
    with _service(folder, enable_auto_retry=False) as t8:
        point = t8.get_resume_point(LIST)
        at = point.current_page if point else 0
        _must(told - 1 <= at <= told, f"{told} pages were done, the resume point says {at}")
    _must(run("collector", *arguments, log=folder / "log") == 0, "the second run failed")
    pages = [int(line.split()[1].rstrip(":")) for line in lines(out)]
    _must(set(pages) == set(range(1, 61)), "pages are missing")
    return f"kill -9 after {told} pages, resumed after {at}, {len(set(pages))} of 60 in the end"


def _crawl_and_report(folder: Path) -> str:
    job, feed = folder / "job", folder / "items.jsonl"
    arguments = (str(job), str(feed), str(PAGES))
    half = PAGES // 3
    status = run_and_kill("crawl", *arguments, when=lambda: len(lines(feed)) >= half, log=folder / "log")
    if status == -9:
        _must(run("crawl", *arguments, log=folder / "log") == 0, "the second run failed")
    pages = [json.loads(line)["page"] for line in lines(feed)]
    _must(
        sorted(pages) == list(range(PAGES)),
        f"{PAGES - len(set(pages))} items lost, {len(pages) - len(set(pages))} twice",
    )
    report = write_report(job)
    difference = report["ledger"]["requests"]["difference"]
    _must(report["job"]["finished"] and not difference, f"the report says: {report['ledger']}")
    _must((job / "report/report.json").exists(), "there is no report.json")
    return (
        f"{len(pages)} items exactly once after kill -9, the report balances" if status == -9 else "not killed in time"
    )


def _retry(folder: Path) -> str:
    tries: list[str] = []

    def handler(target: str, metadata: dict[str, Any]) -> bool:
        tries.append(target)
        return len(tries) >= 3

    with _service(folder, retry_base=0.05, retry_cap=0.1) as t8:
        t8.retry_manager.register_retry_handler("SELFTEST", handler)
        t8.add_failed_task("SELFTEST", "a target", "it failed")
        until(lambda: not any(t8.state_manager.task_counts()), "the task to succeed", 20)
    return f"a task that failed twice succeeded on try {len(tries)}"


CHECKS = (_store, _lock, _kill_and_recover, _retry, _crawl_and_report)
