"""No crawl says that it is complete where a recount by hand finds something else; and none doubts without a cause."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.support.site import Server

from .plan import draw
from .trial import run_trial

pytestmark = pytest.mark.slow

FOUND = (106, 132, 123101, 456165, 456263, 456531)
"""Seeds that have found something, kept."""
RARE = (1094, 1097)
"""Seeds that draw a fault and a hazard which none of the usual seeds does: the state is gone, a feed has no storage."""
GROUP = 5
"""Plans of one test."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seeds" in metafunc.fixturenames:
        seed, plans = (metafunc.config.getoption(name) for name in ("seed", "verdicts"))
        groups = [range(begin, begin + GROUP) for begin in range(seed, seed + plans, GROUP)]
        metafunc.parametrize("seeds", groups, ids=[f"{group[0]}" for group in groups])


def test_the_verdict_is_a_proof(server: Server, tmp_path: Path, seeds: range) -> None:
    """``--seed N --verdicts 5`` repeats the test whose parameter is N."""
    check(server, tmp_path, seeds)


def test_what_was_found_is_mended(server: Server, tmp_path: Path) -> None:
    check(server, tmp_path, FOUND)


def test_what_is_drawn_seldom(server: Server, tmp_path: Path) -> None:
    check(server, tmp_path, RARE)


def check(server: Server, directory: Path, seeds: Iterable[int]) -> None:
    """Run the plans of *seeds*: none says that it is complete and is not, none doubts without a cause."""
    trials = [run_trial(server, draw(seed), directory / str(seed)) for seed in seeds]
    lies = [str(trial) for trial in trials if trial.is_lie]
    dark = [str(trial) for trial in trials if trial.is_dark]
    assert not lies, "\n\n".join(lies)
    assert not dark, "\n\n".join(dark)
