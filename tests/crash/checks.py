"""What must hold at the end of every trial."""

from __future__ import annotations

import re
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from .items import Item, read_items
from .plan import BEFORE
from .refetch import Refetch, refetch
from .run import TrialRun
from .trial import Trial

EXPECTED_ERRORS = ("Spider error processing", "Gave up retrying")
EXPECTED_TRACEBACK = "torture_spider.BrokenOnPurpose"
NEVER = ("Unexpected error, please report", "The ledger does not balance", "Scrapy says finished, but", "should hold")
BAD = re.compile(r"^\S+ \S+ \[[^]]*\] (?:ERROR|CRITICAL): (.*)", re.MULTILINE)


@dataclass(frozen=True)
class Figures:
    """One trial in numbers."""

    name: str
    runs: int
    kills: int
    lost: int
    doubled: int
    refetch: Refetch


Done = Callable[[Figures], None]
"""Keeps the figures of a trial that has held."""


def check(trial: Trial, *, buried: tuple[str, ...] = (), errors: tuple[str, ...] = ()) -> Figures:
    """Check that nothing is lost or doubled, the ledger is balanced, the log clean, and little was fetched again.

    :param buried: the paths that the dead-letter box must hold.
    :param errors: what the last log may say besides.
    """
    assert trial.finished, f"the job has not finished after {len(trial.runs)} runs\n{trial.runs[-1].tail()}"
    lost, doubled = compare(trial)
    again = refetch(trial)
    check_end(trial, errors)
    check_ledger(trial, buried)
    for run in trial.runs:
        check_log(run)
    assert (lost, doubled) == (0, 0), f"{lost} items lost, {doubled} doubled\n{story(trial)}"
    if not buried:
        assert again.extra <= again.bound, f"{again}\n{story(trial)}"
    return Figures(str(trial.plan), len(trial.runs), trial.kills, lost, doubled, again)


def compare(trial: Trial) -> tuple[int, int]:
    """Return how many items the worst feed lacks, and how many it has too often."""
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
    """Check that the last run ended well, unless a signal or a kill ended it."""
    last = trial.runs[-1]
    if last.signals or last.died:
        return  # it had finished before the signal came, or during it
    assert last.exit_code == 0, last.tail()
    assert "'finish_reason': 'finished'" in last.text, last.tail()
    unexpected = [line for line in BAD.findall(last.text) if not line.startswith((*EXPECTED_ERRORS, *errors))]
    assert not unexpected, f"{unexpected}\n{story(trial)}"


def check_ledger(trial: Trial, buried: tuple[str, ...]) -> None:
    """Check that each admitted request is done, discarded or dead."""
    state = trial.states[-1]
    assert state is not None
    ledger = state.ledger
    assert ledger["admitted"] == ledger["done"] + ledger["discarded"] + ledger["dead"], f"{state}\n{story(trial)}"
    assert (state.ready, state.waiting) == (0, 0), f"{state}\n{story(trial)}"
    crashed = [payload for kind, payload in state.dead if kind == "crash"]
    assert len(crashed) == len(buried), f"{state}\n{story(trial)}"
    assert ledger["dead"] == len(state.dead)
    assert buried or state.spawned == 0, f"{state}\n{story(trial)}"
    for path, payload in zip(buried, crashed, strict=True):
        assert path.encode() in payload
    assert ledger["scraped"] == ledger["exported"] == trial.truth.items.total(), f"{state}\n{story(trial)}"


def check_log(run: TrialRun) -> None:
    """Check that there is no traceback but the one that the spider raises on purpose."""
    text = run.text
    assert not any(words in text for words in NEVER), run.tail()
    if signal.SIGINT in run.signals or signal.SIGTERM in run.signals:
        return  # a Ctrl-C before the crawl began shows where it was
    ends = re.findall(r"^Traceback .*\n(?:[ \t].*\n)*(\S.*)\n", text, re.MULTILINE)
    assert all(end.startswith(EXPECTED_TRACEBACK) for end in ends), f"{ends}\n{run.tail()}"


def story(trial: Trial) -> str:
    """Return what was done, and where its files are."""
    ends = "\n".join(
        f"  run {run.number}: exit {run.exit_code} after {run.ended - run.began:.3f} s" for run in trial.runs
    )
    return f"{trial.plan}\n{ends}\n  in {trial.work}"
