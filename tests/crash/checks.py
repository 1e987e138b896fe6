"""What must hold at the end of every trial."""

from __future__ import annotations

import re
import signal
from collections import Counter
from dataclasses import dataclass

from .plan import BEFORE
from .refetch import Refetch, refetch
from .run import Run
from .trial import Item, Trial, read_items

EXPECTED_ERRORS = ("Spider error processing", "Gave up retrying")
EXPECTED_TRACEBACK = "torture_spider.BrokenOnPurpose"
NEVER = ("Unexpected error, please report", "The ledger does not balance", "Scrapy says finished, but", "should hold")
BAD = re.compile(r"^\S+ \S+ \[[^]]*\] (?:ERROR|CRITICAL): (.*)", re.MULTILINE)
LATE = 1.5
"""Seconds that a commit may be late, on a busy machine."""


@dataclass(frozen=True)
class Figures:
    """One trial in numbers."""

    name: str
    runs: int
    kills: int
    lost: int
    doubled: int
    refetch: Refetch


def check(trial: Trial, *, buried: tuple[str, ...] = (), errors: tuple[str, ...] = ()) -> Figures:
    """Nothing lost, nothing twice, the books balanced, the log clean, little fetched again.

    :param buried: the paths that the dead-letter box must hold.
    :param errors: what the last log may say besides.
    """
    assert trial.finished, f"the job has not finished after {len(trial.runs)} runs\n{trial.runs[-1].tail()}"
    lost, doubled = compare(trial)
    again = refetch(trial)
    check_end(trial, errors)
    check_books(trial, buried)
    for run in trial.runs:
        check_log(run)
    assert (lost, doubled) == (0, 0), f"{lost} items lost, {doubled} doubled\n{told(trial)}"
    if not buried:
        assert again.extra <= again.bound, f"{again}\n{told(trial)}"
    return Figures(str(trial.plan), len(trial.runs), trial.kills, lost, doubled, again)


def check_lags(trial: Trial) -> None:
    """At each kill, the last commit was not older than the interval."""
    lags = refetch(trial).lags
    assert all(lag <= trial.plan.variant.interval + LATE for lag in lags), f"commits were late: {lags}\n{told(trial)}"


def compare(trial: Trial) -> tuple[int, int]:
    """The items that the worst feed lacks, and those that it has too often."""
    lost = doubled = 0
    for name, option in trial.plan.variant.feeds.items():
        expected = trial.truth.items + (_before() if option == "-o" else Counter())
        found = read_items(trial.work / name)
        lost = max(lost, (expected - found).total())
        doubled = max(doubled, (found - expected).total())
    return lost, doubled


def _before() -> Counter[Item]:
    return Counter({("before", "", "0", ""): BEFORE.count(b"\n")})


def check_end(trial: Trial, errors: tuple[str, ...]) -> None:
    """The last run ended well, as far as it was let."""
    last = trial.runs[-1]
    if last.signals or last.died:
        return  # it had finished before the signal came, or during it
    assert last.exit_code == 0, last.tail()
    assert "'finish_reason': 'finished'" in last.text, last.tail()
    unexpected = [line for line in BAD.findall(last.text) if not line.startswith((*EXPECTED_ERRORS, *errors))]
    assert not unexpected, f"{unexpected}\n{told(trial)}"


def check_books(trial: Trial, buried: tuple[str, ...]) -> None:
    """Every request ever admitted ended in one way that has a name."""
    books = trial.books[-1]
    assert books is not None
    ledger = books.ledger
    assert ledger["admitted"] == ledger["done"] + ledger["discarded"] + ledger["dead"], f"{books}\n{told(trial)}"
    assert books.entries == 0, f"{books}\n{told(trial)}"
    crashed = [payload for kind, payload in books.dead if kind == "crash"]
    assert len(crashed) == len(buried), f"{books}\n{told(trial)}"
    assert ledger["dead"] == len(books.dead)
    assert buried or books.spawned == 0, f"{books}\n{told(trial)}"
    for path, payload in zip(buried, crashed, strict=True):
        assert path.encode() in payload
    assert ledger["scraped"] == ledger["exported"] == trial.truth.items.total(), f"{books}\n{told(trial)}"


def check_log(run: Run) -> None:
    """No traceback but the one that belongs there."""
    text = run.text
    assert not any(words in text for words in NEVER), run.tail()
    if signal.SIGINT in run.signals or signal.SIGTERM in run.signals:
        return  # a Ctrl-C before the crawl began shows where it was
    ends = re.findall(r"^Traceback .*\n(?:[ \t].*\n)*(\S.*)\n", text, re.MULTILINE)
    assert all(end.startswith(EXPECTED_TRACEBACK) for end in ends), f"{ends}\n{run.log}"


def told(trial: Trial) -> str:
    """What was done, and where it can be looked at."""
    ends = "\n".join(
        f"  run {run.number}: exit {run.exit_code} after {run.ended - run.began:.3f} s" for run in trial.runs
    )
    return f"{trial.plan}\n{ends}\n  in {trial.directory}, hits in {trial.server.log_of(trial.crawl)}"
