"""Options and fixtures of the crash torture."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .checks import Figures
from .lab import Lab
from .options import TRIALS, seed_of
from .torture_site import serving
from .trial import Trial

FIGURES = pytest.StashKey[list[Figures]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("crash torture")
    group.addoption("--trials", type=int, default=TRIALS, help="trials with kills at random moments")
    group.addoption("--seed", type=int, default=None, help="repeat the moments of an earlier session")


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with serving(tmp_path_factory.mktemp("hits")) as server:
        lab = Lab(server, tmp_path_factory.mktemp("trials"))
        request.config.stash[FIGURES] = lab.figures
        try:
            yield lab
        finally:
            lab.close()


@pytest.fixture
def trial(request: pytest.FixtureRequest, lab: Lab) -> Trial:
    """What came of the ``plan`` that the test is parametrised with."""
    return lab.trial(request.node)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    figures = config.stash.get(FIGURES, [])
    if not figures:
        return
    terminalreporter.section(f"crash torture, --seed {seed_of(config)}")
    for each in figures:
        again = each.refetch
        lags = f", last commit {max(again.lags):.3f} s before" if again.lags else ""
        terminalreporter.line(f"{again.extra:4} of {again.bound:4} refetched, {each.kills} kills{lags}: {each.name}")
    kills = sum(each.kills for each in figures)
    extra = sum(each.refetch.extra for each in figures)
    terminalreporter.line(
        f"{len(figures)} trials, {sum(each.runs for each in figures)} runs, {kills} kills, "
        f"{sum(each.lost for each in figures)} items lost, {sum(each.doubled for each in figures)} doubled, "
        f"{extra / max(1, kills):.1f} pages refetched per kill"
    )
