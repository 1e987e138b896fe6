"""The commit loop: what is settled when, and what a failure does."""

from __future__ import annotations

from typing import Any

import pytest

from scrapy_t8.core.items.expectations import Expectations
from scrapy_t8.core.items.keys import ItemKeys
from scrapy_t8.core.items.ledger import Dedup, ItemLedger
from scrapy_t8.core.job.commit_loop import PENDING, CommitLoop
from scrapy_t8.core.job.page_outputs import SLICE, PageOutputs
from scrapy_t8.core.page import Outcome, Page
from scrapy_t8.core.run import CommitParticipant, RunContext
from scrapy_t8.errors import StoreError
from scrapy_t8.model.batch import CommitBatch
from tests.unit.core.conftest import Timers


class Participant(CommitParticipant):
    """Writes down what the loop asks for, in order."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def settle(self, page: Page) -> None:
        self.asked.append(("settle", page, page.outcome))

    def fill(self, batch: CommitBatch) -> None:
        self.asked.append("fill")

    def committed(self) -> None:
        self.asked.append("committed")


class Feed:
    """A sink in memory."""

    name = "feed:a"

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.flushes = 0

    def write(self, records: list[bytes]) -> None:
        self.records += records

    def flush(self) -> None:
        self.flushes += 1

    def record(self) -> dict[str, Any]:
        return {"length": len(self.records)}


@pytest.fixture
def participant() -> Participant:
    return Participant()


@pytest.fixture
def loop(context: RunContext, timers: Timers, participant: Participant) -> CommitLoop:
    ledger = ItemLedger(
        context.store,
        context.record,
        context.recovery.run,
        keys=ItemKeys("id"),
        dedup=Dedup(),
        expectations=Expectations(context.codec),
    )
    loop = CommitLoop(context, PageOutputs(ledger))
    loop.begin(participant)
    return loop


def test_a_page_settles_with_the_last_thing_it_waits_for(loop: CommitLoop, participant: Participant) -> None:
    page = Page(7)
    page.hold()
    loop.end(page)
    loop.flush()
    assert participant.asked == ["fill", "committed"]
    loop.end(page)
    loop.flush()
    assert participant.asked[2:] == [("settle", page, Outcome.DONE), "fill", "committed"]


def test_a_parent_settles_after_its_child(loop: CommitLoop, participant: Participant) -> None:
    parent = Page(1)
    child = Page(2, parent=parent)
    loop.end(parent)
    assert parent.pending == 1
    loop.end(child)
    loop.flush()
    assert [asked[1] for asked in participant.asked if asked[0] == "settle"] == [child, parent]


def test_a_commit_comes_within_the_interval(loop: CommitLoop, timers: Timers, context: RunContext) -> None:
    loop.changed()
    loop.changed()
    (timer,) = timers.pending
    assert timer.delay == context.config.commit_interval
    timers.run()
    assert not timers.pending


def test_many_changes_do_not_wait_for_the_interval(loop: CommitLoop, participant: Participant) -> None:
    for _ in range(PENDING):
        loop.changed()
    assert participant.asked == ["fill", "committed"]


def test_so_many_settled_pages_do_not_wait(loop: CommitLoop, participant: Participant, context: RunContext) -> None:
    for number in range(context.config.commit_pages):
        loop.end(Page(number + 1))
    assert participant.asked[-1] == "committed"


def test_records_are_written_and_flushed_before_the_commit(
    loop: CommitLoop, participant: Participant, context: RunContext
) -> None:
    feed, page = Feed(), Page(1)
    loop.add_sink(feed)
    page.stage(feed.name, b"row", context.directory)
    loop.end(page)
    assert feed.records == []
    loop.flush()
    assert (feed.records, feed.flushes) == ([b"row"], 1)
    assert context.store.feeds() == {feed.name: {"length": 1}}


def test_a_large_page_is_written_over_several_turns(
    loop: CommitLoop, participant: Participant, context: RunContext, timers: Timers
) -> None:
    feed, page = Feed(), Page(1)
    loop.add_sink(feed)
    loop.flush()
    participant.asked.clear()
    for number in range(20):
        page.stage(feed.name, bytes([number]) * (SLICE // 8), context.directory)
    loop.end(page)
    assert not loop.commit()
    assert participant.asked == []
    assert 0 < len(feed.records) < 20
    while timers.pending:
        timers.run()
    assert participant.asked == [("settle", page, Outcome.DONE), "fill", "committed"]
    assert len(feed.records) == 20


def test_a_failed_commit_ends_the_run(
    loop: CommitLoop, participant: Participant, context: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(context.store, "commit", fail)
    loop.end(Page(1))
    loop.flush()
    assert participant.asked[-1] == "fill"
    assert not loop.works
    assert str(loop.error) == "the disk is full"
    with pytest.raises(StoreError, match="the disk is full"):
        loop.flush_or_raise()
    participant.asked.clear()
    loop.end(Page(2))
    assert not loop.commit()
    assert participant.asked == []


def test_the_first_error_stays(loop: CommitLoop) -> None:
    loop.fail(StoreError("first"))
    loop.fail(StoreError("second"))
    assert str(loop.error) == "first"


def test_a_busy_store_puts_the_commit_off_for_one_interval(
    loop: CommitLoop, participant: Participant, context: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context.store, "is_ready", lambda: False)
    clock: Any = context.clock
    loop.end(Page(1))
    assert not loop.commit()
    assert participant.asked == []
    clock.now += 2 * context.config.commit_interval
    assert loop.commit()
    assert participant.asked[-1] == "committed"


def test_what_has_ended_can_be_settled_without_a_commit(loop: CommitLoop, participant: Participant) -> None:
    page = Page(1)
    loop.end(page)
    loop.settle_ended()
    assert participant.asked == [("settle", page, Outcome.DONE)]


class Holder:
    """Holds pages with items."""

    def __init__(self) -> None:
        self.held: list[Page] = []

    def holds(self, page: Page) -> bool:
        if page.items.left:
            self.held.append(page)
        return bool(page.items.left)


def test_a_page_that_is_held_settles_when_it_is_passed_on(loop: CommitLoop, participant: Participant) -> None:
    holder = Holder()
    loop.hold_with(holder)
    parent = Page(6)
    page, other = Page(7, parent=parent), Page(8)
    page.own_items().leave()
    for ended in (parent, page, other):
        loop.end(ended)
    loop.flush()
    assert (page.is_settled, parent.is_settled, other.is_settled) == (False, False, True)
    assert holder.held == [page]
    loop.ended(page)
    loop.flush()
    assert page.is_settled
    assert parent.is_settled
