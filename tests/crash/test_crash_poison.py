"""A page that kills the process whenever it is processed: it is given up, and nothing else is."""

from __future__ import annotations

import pytest

from .checks import Done, check
from .options import planned
from .plan import SMALL, VARIANTS, Plan
from .trial import Trial

pytestmark = pytest.mark.slow

LIMIT = 2
PAGES = {
    "old": "/late/0",
    "child": "/urgent/20",
    "start": "/list/1",
    "landing": "/land/3",
}


BOUND = 2 * (LIMIT + 1) + 1
"""Runs: LIMIT deaths until a page is tried alone, one more during that, for it and for its parent, and the last run."""


def poisoned(name: str, interval: str) -> Plan:
    """The command is given again and again until it ends well, as a service manager would."""
    settings = {"T8_CRASH_LIMIT": str(LIMIT), "T8_COMMIT_INTERVAL": interval}
    return Plan(f"{name}, {interval}s", (), VARIANTS["jsonl"], SMALL, {"poison": PAGES[name]}, settings, 2 * BOUND)


# With an interval of 1 s, the process dies before anything was committed.
PLANS = [*(poisoned(name, "0.05") for name in PAGES), *(poisoned(name, "1") for name in ("old", "child", "start"))]


@planned(PLANS)
def test_a_page_that_kills_the_process_is_buried(plan: Plan, trial: Trial, done: Done) -> None:
    figures = check(trial, buried=(plan.arguments["poison"],), errors=("1 request was given up: the process died",))
    assert len(trial.runs) <= BOUND
    assert all(run.died for run in trial.runs[:-1])
    done(figures)
