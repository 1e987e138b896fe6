"""How long a crawl stays open that has nothing to do but to wait."""

from __future__ import annotations

import pytest
from scrapy.exceptions import CloseSpider, DontCloseSpider

from scrapy_t8.core.retry.idle import REASON, IdlePolicy
from scrapy_t8.core.run import RunContext
from tests.support.clock import Clock
from tests.unit.core.conftest import Timers

from .runs import RetryRun


class Waits:
    """A timer for which the next request is due at *due*."""

    def __init__(self, due: float | None) -> None:
        self.due = due
        self.wakes: list[float | None] = []

    def __len__(self) -> int:
        return 1

    def next_due(self) -> float | None:
        return self.due

    def wake_at(self, due: float | None) -> None:
        self.wakes.append(due)


@pytest.fixture
def run(context: RunContext, timers: Timers) -> RetryRun:
    return RetryRun(context)


def policy(run: RetryRun, due: float | None) -> tuple[IdlePolicy, Waits]:
    waits = Waits(due)
    retries = run.retries
    made = IdlePolicy(run.context, waits, handlers=retries.handlers, breaker=retries.breaker)  # type: ignore[arg-type]
    return made, waits


def patience(run: RetryRun) -> float:
    return run.context.config.retry_wait


def test_nothing_waits_and_the_crawl_ends_as_ever(run: RetryRun) -> None:
    policy(run, None)[0].idle(None)


def test_a_retry_that_is_due_soon_keeps_the_crawl_open(run: RetryRun, clock: Clock) -> None:
    made, waits = policy(run, clock.now + patience(run))
    for _ in range(2):
        with pytest.raises(DontCloseSpider):
            made.idle(None)
    assert waits.wakes == [waits.due], "said once, not at every idle signal"


def test_a_retry_beyond_the_limit_is_left_to_the_next_run(run: RetryRun, clock: Clock) -> None:
    made, _ = policy(run, clock.now + patience(run) + 1)
    with pytest.raises(CloseSpider) as closed:
        made.idle(None)
    assert closed.value.reason == REASON


def test_a_handler_at_work_keeps_the_crawl_open(run: RetryRun) -> None:
    run.retries.handlers.busy.add(7)
    with pytest.raises(DontCloseSpider):
        policy(run, None)[0].idle(None)


def test_a_host_that_went_down_is_waited_for_as_long_as_for_a_retry(run: RetryRun, clock: Clock) -> None:
    made, _ = policy(run, None)
    for number in range(run.context.config.breaker_failures):
        run.retries.breaker.failed("a", number, clock.now)
    opening = run.retries.breaker.opens_at("a")
    with pytest.raises(DontCloseSpider):
        made.idle(opening)
    clock.now += patience(run)
    with pytest.raises(CloseSpider):
        made.idle(clock.now + 1)


def test_a_paused_host_is_waited_for_if_the_pause_is_short(run: RetryRun, clock: Clock) -> None:
    made, _ = policy(run, None)
    run.retries.breaker.pause("a", clock.now + 5)
    with pytest.raises(DontCloseSpider):
        made.idle(clock.now + 5)
