"""A service in a directory of its own, whose time does not pass by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scrapy_t8 import T8ResumeAndRetry


class Clock:
    """The time, in Unix seconds. It stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def make(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., T8ResumeAndRetry]]:
    """Makes services on one state; delays are as long as they can be."""
    made: list[T8ResumeAndRetry] = []

    def new(**config: Any) -> T8ResumeAndRetry:
        config = {"state_dir": str(tmp_path / "state"), **config}
        made.append(T8ResumeAndRetry(config, clock=clock, chance=lambda: 1.0))
        return made[-1]

    yield new
    for service in made:
        service.stop_service(0)


@pytest.fixture
def t8(make: Callable[..., T8ResumeAndRetry]) -> T8ResumeAndRetry:
    return make()
