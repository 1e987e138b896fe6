"""The options of the session, with what they are where pytest was not told of them."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from .plan import Plan

TRIALS = 20
SEED = pytest.StashKey[int]()


def trials_of(config: pytest.Config) -> int:
    """How many trials with random kills there are to be."""
    return int(config.getoption("--trials", TRIALS))


def seed_of(config: pytest.Config) -> int:
    """The seed of this session, chosen once."""
    if SEED not in config.stash:
        given = config.getoption("--seed", None)
        config.stash[SEED] = random.SystemRandom().randrange(10**6) if given is None else given
    return config.stash[SEED]


def planned(plans: Sequence[Plan]) -> pytest.MarkDecorator:
    """Give a test one plan at a time."""
    return pytest.mark.parametrize("plan", plans, ids=[plan.name for plan in plans])
