"""How long a crawl stays open that has nothing to do but to wait."""

from __future__ import annotations

import pytest
from scrapy.exceptions import CloseSpider, DontCloseSpider

from scrapy_t8.core.retry.breaker import Evidence
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


def policy(run: RetryRun, due: float | None, *answered: str) -> tuple[IdlePolicy, Waits]:
    waits = Waits(due)
    retries = run.retries
    made = IdlePolicy(
        run.context,
        waits,  # type: ignore[arg-type]
        handlers=retries.handlers,
        breaker=retries.breaker,
        answered=lambda: set(answered),
    )
    return made, waits


def take_down(run: RetryRun, host: str) -> float:
    """Return when the host is to be probed."""
    for number in range(run.context.config.breaker_failures):
        run.retries.breaker.failed(host, Evidence(number), run.context.clock())
    return run.retries.breaker.opens_at(host)


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


@pytest.mark.parametrize("answered", [(), ("a", "b")], ids=["nothing has answered", "it has answered before"])
def test_a_host_that_went_down_is_waited_for_and_left_to_the_next_run(
    run: RetryRun, clock: Clock, answered: tuple[str, ...]
) -> None:
    made, _ = policy(run, None, *answered)
    opening = take_down(run, "a")
    with pytest.raises(DontCloseSpider):
        made.idle(opening)
    clock.now += patience(run)
    with pytest.raises(CloseSpider):
        made.idle(clock.now + 1)


def test_a_host_that_never_answers_is_given_up_where_another_one_answers(run: RetryRun, clock: Clock) -> None:
    made, _ = policy(run, None, "b")
    opening = take_down(run, "a")
    with pytest.raises(DontCloseSpider):
        made.idle(opening)
    assert run.retries.breaker.is_open("a", clock.now)
    clock.now += patience(run)
    with pytest.raises(DontCloseSpider):
        made.idle(clock.now + 1)
    assert run.retries.breaker.takes("a", clock.now)


def test_what_waits_is_logged_once_a_minute(run: RetryRun, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    made, waits = policy(run, None)
    with caplog.at_level("INFO"):
        for _ in range(700):
            clock.now += 0.1
            waits.due = clock.now + 1
            with pytest.raises(DontCloseSpider):
                made.idle(None)
    assert caplog.text.count("for a retry, the first until") == 2
    assert len(waits.wakes) == 700


def test_a_paused_host_is_waited_for_if_the_pause_is_short(run: RetryRun, clock: Clock) -> None:
    made, _ = policy(run, None)
    run.retries.breaker.pause("a", clock.now + 5)
    with pytest.raises(DontCloseSpider):
        made.idle(clock.now + 5)
