"""The way of an item out of the pipelines: to its page, to the ledger, to the feeds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from scrapy.exceptions import DropItem
from scrapy.http import Response
from twisted.python.failure import Failure

from scrapy_t8.core.items.checks import ItemChecks
from scrapy_t8.core.items.expectations import Expectations
from scrapy_t8.core.items.keys import ItemKeys
from scrapy_t8.core.items.ledger import DROPPED, DUPLICATE, EXPORTED, FAILED, Dedup, ItemLedger
from scrapy_t8.core.items.tracker import Duplicate, InvalidItem, ItemTracker
from scrapy_t8.core.page import Page, current_page
from scrapy_t8.core.run import RunContext
from tests.unit.core.parts import Control


class Pipeline:
    def process_item(self, item: Any) -> Any:
        raise DropItem("too cheap")


@pytest.fixture
def control() -> Control:
    return Control()


@pytest.fixture
def tracker(context: RunContext, control: Control) -> ItemTracker:
    ledger = ItemLedger(
        context.store,
        context.record,
        context.recovery.run,
        keys=ItemKeys("id"),
        dedup=Dedup(),
        expectations=Expectations(context.codec),
    )
    return ItemTracker(context, control, ledger, checks=ItemChecks({}, {}))


@pytest.fixture
def page() -> Page:
    page = Page(1)
    page.enter()
    return page


def outcomes(page: Page) -> list[int]:
    return [outcome.outcome for batch in page.items.all_outcomes() for outcome in batch]


def drop(error: type[Exception] = DropItem) -> Exception:
    try:
        Pipeline().process_item({})
    except DropItem as dropped:
        return dropped
    raise AssertionError


def test_each_item_ends_in_one_outcome(tracker: ItemTracker, page: Page) -> None:
    response = Response("http://a/1")
    tracker.item_scraped({"id": 1})
    tracker.item_dropped({"id": 2}, response, Duplicate("again"))
    tracker.item_dropped({"id": 3}, response, drop())
    tracker.item_error({"id": 4}, response, Failure(ValueError("x")))
    assert outcomes(page) == [EXPORTED, DUPLICATE, DROPPED, FAILED]
    assert (page.items.entered, page.items.left, page.items.passed) == (4, 4, 2)
    assert page.items.loss_cause == "dropped\tPipeline: too cheap"


def test_a_listener_stages_for_the_item(tracker: ItemTracker, page: Page, context: RunContext) -> None:
    tracker.on_scraped(lambda item: page.stage("feed", repr(item).encode(), context.directory))
    tracker.item_scraped({"id": 1})
    tracker.item_dropped({"id": 2}, None, drop())
    tracker.item_scraped({"id": 3})
    (records,) = page.items.staged["feed"].batches(1000)
    assert records == [(1, b"{'id': 1}"), (3, b"{'id': 3}")]
    assert page.items.current == 0


def test_an_item_of_no_page_settles_by_itself(tracker: ItemTracker, control: Control) -> None:
    tracker.item_scraped({"id": 1})
    (page,) = control.ended
    assert outcomes(page) == [EXPORTED]
    assert page.entry is None
    assert current_page() is None


def test_problems_of_an_item_that_stays_are_noted(tracker: ItemTracker, page: Page) -> None:
    tracker.note_problems(lambda item: [["required", "dict", "price", "is missing"]])
    tracker.item_scraped({"id": 1})
    (batch,) = page.items.all_outcomes()
    assert batch[0].problems == [["required", "dict", "price", "is missing"]]


def test_problems_of_an_item_that_was_dropped_for_them(tracker: ItemTracker, page: Page) -> None:
    tracker.item_dropped({"id": 1}, None, InvalidItem("bad", [["required", "dict", "price", "is missing"]]))
    (batch,) = page.items.all_outcomes()
    assert (batch[0].outcome, batch[0].problems) == (DROPPED, [["required", "dict", "price", "is missing"]])


def test_an_item_that_cannot_be_noted_ends_the_run(
    tracker: ItemTracker, page: Page, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tracker.ledger, "outcome_of", fail)
    tracker.item_scraped({"id": 1})
    assert control.error is not None
    tracker.item_scraped({"id": 2})
    assert page.items.left == 1, "nothing is noted after the end of the run"


def test_without_a_ledger_nothing_is_noted(context: RunContext, control: Control, page: Page) -> None:
    context = context._replace(config=replace(context.config, enable_integrity_check=False, dedup="off"))
    ledger = ItemLedger(
        context.store,
        context.record,
        1,
        keys=ItemKeys("id"),
        dedup=Dedup("off"),
        expectations=Expectations(context.codec),
    )
    tracker = ItemTracker(context, control, ledger, checks=ItemChecks({}, {}))
    tracker.item_scraped({"id": 1})
    assert (outcomes(page), page.items.entered, page.items.passed) == ([], 0, 1)
