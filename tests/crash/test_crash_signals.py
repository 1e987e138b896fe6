"""Ctrl-C once, twice and at any moment; SIGTERM with SIGKILL after it; all of them in turn."""

from __future__ import annotations

import pytest

from tests.conftest import TRIALS

from .checks import Done, check
from .options import planned
from .plan import SMALL, VARIANTS, Plan, interrupt, interrupt_twice, kill, terminate
from .trial import Trial

pytestmark = pytest.mark.slow

FEW, MANY = 6, 24
"""Moments of a start that are tried: usually, and where there are more trials than usual."""
KINDS = ("jsonl", "json", "reactorless")
TAR = {"tar": "1"}
"""A page is held by the site, so that asking alone does not end the process."""


def sweep(moment: float) -> Plan:
    """One Ctrl-C at the same moment of two starts: of the first, and of one that finds a crawl in the middle."""
    ends = (interrupt(moment), kill(progress=0.4), interrupt(moment))
    return Plan(f"{moment:.3f}s", ends, lists=SMALL, fresh=True)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.function is test_one_interrupt_at_any_moment_of_a_start:
        count = FEW if metafunc.config.getoption("trials") <= TRIALS else MANY
        plans = [sweep(0.05 + number * 1.155 / (count - 1)) for number in range(count)]
        metafunc.parametrize("plan", plans, ids=[plan.name for plan in plans])


def test_one_interrupt_at_any_moment_of_a_start(plan: Plan, trial: Trial, done: Done) -> None:
    done(check(trial))


ONCE = [Plan(f"once, {name}", (interrupt(progress=0.4),), VARIANTS[name], SMALL) for name in KINDS]


@planned(ONCE)
def test_one_interrupt_lets_pages_in_flight_finish(plan: Plan, trial: Trial, done: Done) -> None:
    figures = check(trial)
    assert trial.runs[0].was_graceful
    assert "'finish_reason': 'shutdown'" in trial.runs[0].text
    done(figures)


TWICE = [
    Plan(f"twice, {name}", (interrupt_twice(progress=0.4, pause=0.3),), VARIANTS[name], SMALL, TAR) for name in KINDS
]


@planned(TWICE)
def test_two_interrupts(plan: Plan, trial: Trial, done: Done) -> None:
    figures = check(trial)
    assert len(trial.runs) == 2
    assert len(trial.runs[0].signals) == 2
    done(figures)


TERMINATED = [Plan("terminated", (terminate(progress=0.4),), lists=SMALL, arguments=TAR)]


@planned(TERMINATED)
def test_a_kill_after_the_grace_of_a_service_manager(plan: Plan, trial: Trial, done: Done) -> None:
    figures = check(trial)
    assert trial.runs[0].died
    done(figures)


MIXED = [
    (kill(progress=0.2), interrupt(progress=0.3), kill(0.6), interrupt_twice(progress=0.3), kill(0.02, progress=0.5)),
    (interrupt(progress=0.1), kill(0.9), interrupt(0.8), kill(progress=0.4), interrupt_twice(1.0)),
]


@pytest.mark.parametrize(
    "plan", [Plan(f"mixed, {n}", ends) for n, ends in enumerate(MIXED)], ids=lambda plan: plan.name
)
def test_kills_and_signals_in_turn(plan: Plan, trial: Trial, done: Done) -> None:
    done(check(trial))
