"""The fixtures of the crash tests, and their figures at the end of a session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.support.site import Server

from .checks import Figures
from .lab import Lab
from .plan import Plan
from .trial import Trial

FIGURES = "crash figures"


@pytest.fixture(scope="session")
def lab(server: Server, tmp_path_factory: pytest.TempPathFactory, common: Path) -> Lab:
    return Lab(server, tmp_path_factory.mktemp("trials"), common)


@pytest.fixture
def trial(lab: Lab, plan: Plan) -> Trial:
    """What came of the ``plan`` that the test is parametrised with."""
    return lab.trial(plan)


@pytest.fixture
def done(lab: Lab, trial: Trial, record_property: Callable[[str, object], None]) -> Callable[[Figures], None]:
    """Keep the figures of a trial that has held, and nothing else of it."""

    def keep(figures: Figures) -> None:
        record_property(FIGURES, asdict(figures))
        lab.forget(trial)

    return keep


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    reports = [report for found in terminalreporter.stats.values() for report in found]
    calls = [report for report in reports if getattr(report, "when", "") == "call"]
    figures: list[Any] = [value for report in calls for name, value in report.user_properties if name == FIGURES]
    if not figures:
        return
    terminalreporter.section(f"crash tests, --seed {config.getoption('seed')}")
    for each in figures:
        again = each["refetch"]
        lags = f", last commit {max(again['lags']):.3f} s before" if again["lags"] else ""
        terminalreporter.line(
            f"{again['extra']:4} of {again['bound']:4} refetched, {each['kills']} kills{lags}: {each['name']}"
        )
    kills = sum(each["kills"] for each in figures)
    extra = sum(each["refetch"]["extra"] for each in figures)
    terminalreporter.line(
        f"{len(figures)} trials, {sum(each['runs'] for each in figures)} runs, {kills} kills, "
        f"{sum(each['lost'] for each in figures)} items lost, {sum(each['doubled'] for each in figures)} doubled, "
        f"{extra / max(1, kills):.1f} pages refetched per kill"
    )
