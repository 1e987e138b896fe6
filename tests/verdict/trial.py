"""Runs a plan: its kills, what befalls its files, and runs until the job says that it is finished."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.crawl import Crawl, Run
from tests.support.site import Server

from .plan import Plan
from .recount import wrong
from .site import PlannedPages

PROJECT = Path(__file__).parent / "project"
RUNS = 8
"""Runs that a job has at most."""
COMPLETE = "complete"


@dataclass
class Trial:
    """What a crawl said at its end, and what a recount finds."""

    plan: Plan
    said: list[str]
    """In how many ways the crawl said that it is complete; nothing if it did not."""
    wrong: list[str]
    run: Run

    @property
    def is_lie(self) -> bool:
        return bool(self.said and self.wrong)

    @property
    def is_dark(self) -> bool:
        """Whether all is there, nothing befell the files, and the crawl does not say so."""
        return not self.wrong and not any(self.plan.faults) and not self.said

    def __str__(self) -> str:
        return (
            f"seed {self.plan.seed}: said {self.said}, wrong {self.wrong}, hazards {self.plan.hazards}, "
            f"faults {self.plan.faults}:\n{json.dumps(self.plan.as_json())}\n{self.run.log[-6000:]}"
        )


def run_trial(server: Server, plan: Plan, directory: Path) -> Trial:
    """Run a plan in a new directory, and recount."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    pages = PlannedPages(plan)
    site = server.site(pages)
    (directory / "plan.json").write_text(json.dumps(plan.as_json()))
    crawl = Crawl(PROJECT, site, directory)
    crawl.feeds = ()
    variables = {"PLAN": str(directory / "plan.json")}
    for kill, fault in zip(plan.kills, plan.faults, strict=True):
        run = crawl.run("planned", end=f"kill:tick:{kill}", variables=variables)
        if _is_over(run, crawl):
            return _audit(plan, crawl, pages.whole, run)
        befall(crawl, fault)
    for _ in range(RUNS):
        run = crawl.run("planned", variables=variables)
        if _is_over(run, crawl):
            break
    return _audit(plan, crawl, pages.whole, run)


def befall(crawl: Crawl, fault: str) -> None:
    """Do something to a file of the job, as a person or a machine might."""
    state = crawl.job / "t8"
    feed, spool = crawl.work / "items", state / "items.spool"
    match fault:
        case "feed-gone":
            feed.unlink(missing_ok=True)
        case "feed-emptied" if feed.exists():
            feed.write_bytes(b"")
        case "feed-cut" if feed.exists():
            feed.write_bytes(feed.read_bytes()[: feed.stat().st_size // 2])
        case "feed-grown" if feed.exists():
            feed.write_bytes(feed.read_bytes() + b'{"number": 4711}\n')
        case "spool-gone":
            spool.unlink(missing_ok=True)
        case "spool-flipped" if spool.exists() and spool.stat().st_size:
            content = bytearray(spool.read_bytes())
            content[len(content) // 2] ^= 0x55
            spool.write_bytes(content)
        case "wal-gone":
            for file in state.glob("state.db-*"):
                file.unlink()
        case "state-gone":
            for file in state.glob("state.db*"):
                file.unlink()


def _is_over(run: Run, crawl: Crawl) -> bool:
    """Whether the job has no more to do, or cannot be run. The same command would begin a new job."""
    report = crawl.job / "report/report.json"
    if run.code >= 0 and report.exists() and json.loads(report.read_text())["job"]["finished"]:
        return True
    return run.code >= 0 and run.reason not in ("enough", "shutdown")


def _audit(plan: Plan, crawl: Crawl, whole: Counter[str], run: Run) -> Trial:
    said = ["exit status 0"] if run.code == 0 else []
    report = crawl.job / "report/report.json"
    if report.exists() and _verdict(report) == COMPLETE:
        said.append("report.json")
    return Trial(plan, said, wrong(plan, whole, crawl.work / "items"), run)


def _verdict(report: Path) -> Any:
    return json.loads(report.read_text())["verdict"]
