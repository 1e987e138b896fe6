"""No crawl says that it is complete where a recount by hand finds something else; and none doubts without a cause."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.site import Server

from .plan import draw
from .trial import run_trial

pytestmark = pytest.mark.slow

FOUND: tuple[int, ...] = ()
"""Seeds that have found something, kept."""
GROUP = 5
"""Plans of one test."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    seed, plans = (metafunc.config.getoption(name) for name in ("seed", "verdicts"))
    metafunc.parametrize("first", [seed + number * GROUP for number in range(plans // GROUP)])


def test_the_verdict_is_a_proof(server: Server, tmp_path: Path, first: int) -> None:
    """``--seed N --verdicts 5`` repeats the test whose parameter is N."""
    trials = [run_trial(server, draw(seed), tmp_path / str(seed)) for seed in range(first, first + GROUP)]
    lies = [str(trial) for trial in trials if trial.is_lie]
    dark = [str(trial) for trial in trials if trial.is_dark]
    assert not lies, "\n\n".join(lies)
    assert not dark, "\n\n".join(dark)
