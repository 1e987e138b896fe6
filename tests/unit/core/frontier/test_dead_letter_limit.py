"""A job with too many dead letters ends its run."""

from __future__ import annotations

import logging

import pytest
from scrapy import signals

from scrapy_t8.core import scrapy_private
from scrapy_t8.core.frontier import dead_letter_outbox
from scrapy_t8.core.frontier.dead_letter_outbox import FULL, DeadLetterLimit
from scrapy_t8.core.run import RunContext
from scrapy_t8.model.batch import CommitBatch
from tests.unit.core.conftest import Timers


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    closed: list[str] = []
    monkeypatch.setattr(scrapy_private, "close_spider", lambda crawler, reason: closed.append(reason))
    return closed


LIMIT = 10


class Limited:
    """A job whose dead letters are counted, and what is said and done about them."""

    def __init__(self, context: RunContext, caplog: pytest.LogCaptureFixture, timers: Timers) -> None:
        self._ledger = context.record.ledger
        self._caplog = caplog
        self._limit = DeadLetterLimit(context._replace(config=type(context.config)(max_failed_tasks=LIMIT)))
        context.crawler.signals.send_catch_log(signals.spider_opened, spider=context.crawler.spider)
        timers.run()

    def said(self) -> list[tuple[int, int]]:
        """Let there be more and more dead letters. Return at which number something was logged, and the level."""
        said: list[tuple[int, int]] = []
        with self._caplog.at_level(logging.INFO):
            for dead in range(13):
                self._ledger.dead = dead
                self._caplog.clear()
                self._limit.fill(CommitBatch())
                said += [(dead, record.levelno) for record in self._caplog.records]
        return said


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> Timers:
    timers = Timers()
    monkeypatch.setattr(dead_letter_outbox, "call_later", timers)
    return timers


def test_a_limit_of_the_project_ends_the_run_after_a_warning(
    context: RunContext, closed: list[str], caplog: pytest.LogCaptureFixture, timers: Timers
) -> None:
    context.crawler.settings.frozen = False
    context.crawler.settings.set("T8_MAX_FAILED_TASKS", LIMIT)
    assert Limited(context, caplog, timers).said() == [(9, logging.WARNING), (10, logging.ERROR)]
    assert closed == [FULL]


def test_the_default_limit_ends_no_run(
    context: RunContext, closed: list[str], caplog: pytest.LogCaptureFixture, timers: Timers
) -> None:
    assert Limited(context, caplog, timers).said() == [(10, logging.WARNING)]
    assert closed == []
