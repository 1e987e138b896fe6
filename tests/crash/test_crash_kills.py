"""kill -9 at random moments, in every form of the command."""

from __future__ import annotations

import random

import pytest

from .checks import Done, check
from .plan import VARIANTS, Blow, Plan, kill
from .trial import Trial

pytestmark = pytest.mark.slow
KILLS = 5


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    seed, trials = metafunc.config.getoption("seed"), metafunc.config.getoption("trials")
    plans = [plan_of(seed, number) for number in range(trials)]
    metafunc.parametrize("plan", plans, ids=[plan.name for plan in plans])


def plan_of(seed: int, number: int) -> Plan:
    """The same for the same seed and number, however many trials there are."""
    chance = random.Random(f"{seed} {number}")
    names = list(VARIANTS)
    variant = VARIANTS[names[(seed + number) % len(names)]]
    kills = [random_kill(chance) for _ in range(chance.randint(1, KILLS))]
    if chance.random() < 0.25:
        kills[-1] = kill(chance.uniform(0, 0.25), progress=chance.uniform(0.95, 1))
    return Plan(f"{number}-{variant.name}", tuple(kills), variant)


def random_kill(chance: random.Random) -> Blow:
    """At the start, or in the middle of things."""
    if chance.random() < 0.3:
        return kill(chance.uniform(0.02, 1.5))
    return kill(chance.uniform(0, 0.06), progress=chance.uniform(0, 0.6))


def test_nothing_is_lost_and_nothing_is_doubled(plan: Plan, trial: Trial, done: Done) -> None:
    figures = check(trial)
    done(figures)
