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


@pytest.fixture
def limit(context: RunContext, closed: list[str], monkeypatch: pytest.MonkeyPatch) -> DeadLetterLimit:
    timers = Timers()
    monkeypatch.setattr(dead_letter_outbox, "call_later", timers)
    limit = DeadLetterLimit(context._replace(config=type(context.config)(max_failed_tasks=10)))
    context.crawler.signals.send_catch_log(signals.spider_opened, spider=context.crawler.spider)
    timers.run()
    return limit


def test_a_warning_comes_before_the_end(
    limit: DeadLetterLimit, context: RunContext, closed: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    said: list[tuple[int, list[int]]] = []
    with caplog.at_level(logging.INFO):
        for dead in range(13):
            context.record.ledger.dead = dead
            caplog.clear()
            limit.fill(CommitBatch())
            if caplog.records:
                said.append((dead, [record.levelno for record in caplog.records]))
    assert said == [(9, [logging.WARNING]), (10, [logging.ERROR])]
    assert closed == [FULL]
