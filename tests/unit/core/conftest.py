"""What the unit tests of the engine share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scrapy_t8.core.page import leave_page
from scrapy_t8.core.run import RunContext

from .parts import Clock, run_context


class Timers:
    """Replaces ``call_later``: nothing runs before the test runs it."""

    def __init__(self) -> None:
        self.set: list[Timer] = []

    def __call__(self, delay: float, call: Callable[..., Any], *args: Any) -> Timer:
        timer = Timer(delay, lambda: call(*args))
        self.set.append(timer)
        return timer

    @property
    def pending(self) -> list[Timer]:
        return [timer for timer in self.set if not timer.is_over]

    def run(self) -> None:
        """Run every timer that is set now."""
        for timer in self.pending:
            timer.is_over = True
            timer.call()


class Timer:
    def __init__(self, delay: float, call: Callable[[], Any]) -> None:
        self.delay = delay
        self.call = call
        self.is_over = False

    def cancel(self) -> None:
        self.is_over = True


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> Timers:
    timers = Timers()
    for module in ("core.job.commit_loop", "core.retry.timer"):
        monkeypatch.setattr(f"scrapy_t8.{module}.call_later", timers)
    return timers


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


@pytest.fixture
def context(tmp_path: Path, clock: Clock) -> Iterator[RunContext]:
    made = run_context(tmp_path, clock=clock)
    yield made
    leave_page()
    made.store.close()
