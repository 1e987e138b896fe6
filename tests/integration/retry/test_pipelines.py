"""Pipelines that lose what they write to, and a box that is full."""

from __future__ import annotations

import pytest

from tests.support.crawl import Crawl
from tests.support.releases import prompt_callbacks

from .pages import balanced, both, items, run

pytestmark = pytest.mark.slow


def test_an_outage_of_a_pipeline_costs_no_page(crawl: Crawl) -> None:
    paths = [f"ok/{number}" for number in range(30)]
    done = run(crawl, *paths, switch="away", T8_BREAKER_PROBE=0.2, T8_RETRY_BASE=0.01)
    assert done.reason == "finished"
    assert items(crawl) == both(*paths)
    assert balanced(crawl).ledger["dead"] == 0
    assert len(done.lines("Pipeline has lost what it writes to (ConnectionRefusedError: the database is away)")) == 1
    assert len(done.lines("Pipeline works again")) == 1
    assert not done.lines("looks down")


@prompt_callbacks
def test_a_full_box_ends_the_run_and_loses_no_letter(crawl: Crawl) -> None:
    paths = [f"ok/{number}/bug" for number in range(20)]
    options = {"CONCURRENT_REQUESTS": 1, "T8_REVIVE_ON_CODE_CHANGE": False}
    first = run(crawl, *paths, switch="bug", T8_MAX_FAILED_TASKS=10, **options)
    assert first.reason == "t8_failed_tasks_full"
    assert len(first.lines("At 10 (T8_MAX_FAILED_TASKS) the crawl ends")) <= 1
    assert len(first.lines("Revive or discard them, or raise T8_MAX_FAILED_TASKS")) == 1
    dead = balanced(crawl).ledger["dead"]
    assert 10 <= dead == crawl.letters()["parse"]
    again = run(crawl, *paths, switch="bug", T8_MAX_FAILED_TASKS=10, **options)
    assert again.reason == "t8_failed_tasks_full"
    assert crawl.letters()["parse"] >= dead
    last = run(crawl, *paths, switch="bug", T8_MAX_FAILED_TASKS=100, **options)
    assert last.reason == "finished"
    assert crawl.letters()["parse"] == 20
