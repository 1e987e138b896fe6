"""What follows when item pipelines lose what they write to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scrapy_t8.core import scrapy_private
from scrapy_t8.core.retry.failure import OUTAGE, Failure
from scrapy_t8.core.retry.pipeline_outages import DOWN, PipelineOutages
from scrapy_t8.core.run import RunContext
from scrapy_t8.model.attempts import AttemptHistory
from tests.support.clock import Clock

AWAY = Failure(OUTAGE, "ConnectionRefusedError: away", detail={"pipeline": "Rows"})


class Bench:
    """The outages of a run, and what they have asked for."""

    def __init__(self, context: RunContext, monkeypatch: pytest.MonkeyPatch) -> None:
        self.held: list[bool] = []
        self.woken: list[float] = []
        self.closed: list[str] = []
        monkeypatch.setattr(scrapy_private, "schedule_next_call", lambda crawler: None)
        monkeypatch.setattr(scrapy_private, "close_spider", lambda crawler, reason: self.closed.append(reason))
        self.outages = PipelineOutages(context)
        self.outages.hold_with(self.held.append, self.woken.append)

    def fail(self, *requests: int, failure: Failure = AWAY) -> list[bool]:
        """Let pages fail. Return of each whether it waits for the pipeline."""
        found = []
        for request in requests:
            history = AttemptHistory(task_type="", target="", task_id="")
            found.append(self.outages.failed(request, failure, history) is not None)
        return found


@pytest.fixture
def bench(context: RunContext, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(context, monkeypatch)


def test_requests_are_held_back_until_a_page_passes(bench: Bench, clock: Clock) -> None:
    assert bench.fail(1, 2, 3, 4) == [False] * 4
    assert not bench.held
    assert bench.fail(5, 6) == [True, True]
    assert bench.held == [True]
    assert not bench.outages.wants_probe()
    clock.now = bench.woken[-1]
    assert bench.outages.wants_probe()
    bench.outages.probe(7)
    assert not bench.outages.wants_probe()
    bench.outages.page_ended(7, has_items=True)
    assert bench.held == [True, False]
    assert not bench.outages.is_watching


def test_a_probe_that_fails_is_followed_by_another_one_later(bench: Bench, clock: Clock) -> None:
    bench.fail(1, 2, 3, 4, 5)
    clock.now = bench.woken[-1]
    bench.outages.probe(7)
    assert bench.fail(7) == [True]
    assert bench.woken[-1] > clock.now
    assert not bench.outages.wants_probe()
    clock.now = bench.woken[-1]
    assert bench.outages.wants_probe()


def test_a_probe_without_items_is_followed_by_another_one_at_once(bench: Bench, clock: Clock) -> None:
    bench.fail(1, 2, 3, 4, 5)
    clock.now = bench.woken[-1]
    bench.outages.probe(7)
    bench.outages.page_ended(7, has_items=False)
    assert bench.outages.wants_probe()
    assert bench.held == [True]


def test_all_pipelines_that_are_down_are_waited_for(bench: Bench, clock: Clock) -> None:
    bench.fail(1, 2, 3, 4, 5)
    clock.now += 1
    bench.fail(1, 2, 3, 4, 5, failure=replace(AWAY, detail={"pipeline": "Queue"}))
    clock.now = bench.woken[0]
    assert not bench.outages.wants_probe()
    clock.now += 1
    assert bench.outages.wants_probe()


def test_an_outage_that_lasts_too_long_ends_the_run_and_buries_nothing(
    bench: Bench, clock: Clock, context: RunContext
) -> None:
    bench.fail(1, 2, 3, 4, 5)
    clock.now += context.config.breaker_give_up + 1
    bench.outages.probe(7)
    assert bench.fail(7) == [True]
    assert bench.closed == [DOWN]
