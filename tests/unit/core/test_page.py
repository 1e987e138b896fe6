"""The outcome of a page, and what belongs to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from scrapy_t8.core.page import ITEMS, Outcome, Page, current_page, leave_page
from scrapy_t8.core.staging import NO_ITEMS
from scrapy_t8.model.attempts import AttemptHistory, ScheduledRetry
from scrapy_t8.model.dead_letter import DeadLetter
from scrapy_t8.model.entry import Ending

RETRY = ScheduledRetry(1, 2.0, "host", b"", "{}")
LETTER = DeadLetter(1, b"", "parse", "a bug", 0.0)


def nothing(page: Page) -> None: ...


def discard(page: Page) -> None:
    page.discard(Ending("duplicate"))


@pytest.mark.parametrize(
    ("steps", "outcome"),
    [
        ((), Outcome.DONE),
        ((Page.hand_over,), Outcome.DISCARDED),
        ((Page.hand_over, Page.replace), Outcome.REPLACED),
        ((Page.hand_over, Page.go_on), Outcome.DONE),
        ((discard,), Outcome.DISCARDED),
        ((lambda page: page.retry_later(RETRY),), Outcome.RETRY),
        ((Page.hand_over, lambda page: page.retry_later(RETRY)), Outcome.RETRY),
        ((discard, lambda page: page.bury(LETTER)), Outcome.DEAD),
    ],
)
def test_every_way_ends_in_one_outcome(steps: tuple, outcome: Outcome) -> None:  # type: ignore[type-arg]
    page = Page(1)
    for step in steps:
        step(page)
    page.settle()
    assert page.outcome is outcome
    assert page.is_settled
    assert page.goes_on == (outcome in (Outcome.RETRY, Outcome.REPLACED))
    assert (page.retry is RETRY, page.letter is LETTER) == (outcome is Outcome.RETRY, outcome is Outcome.DEAD)


def test_a_page_is_current_until_it_has_ended() -> None:
    page = Page(1)
    page.enter()
    assert current_page() is page
    page.release()
    assert current_page() is None
    leave_page()


def test_a_child_holds_its_parent() -> None:
    parent = Page(1)
    Page(2, parent=parent)
    assert not parent.release()
    assert parent.release()


def test_a_page_without_items_makes_no_container(tmp_path: Path) -> None:
    page = Page(1)
    assert page.items is NO_ITEMS
    page.own_items().entered += 1
    assert page.items is not NO_ITEMS
    assert NO_ITEMS.entered == 0
    page.take_back_items()
    assert page.items is NO_ITEMS


def test_items_may_come_twice_if_others_without_a_key_take_their_place(tmp_path: Path) -> None:
    for delivered, staged, keyless, expected in (
        ([b"a", b"b"], [b"a", b"x"], "http://a", True),
        ([b"a", b"b"], [b"a", b"x"], None, False),
        ([b"a"], [b"a", b"x"], "http://a", False),
        ([b"a", b"b"], [b"a"], "http://a", False),
        ([], [b"x"], "http://a", False),
    ):
        first, again = Page(1), Page(1)
        first.add_delivered("feed", delivered)
        first.add_delivered(ITEMS, [b"an outcome, which may be that of an item that was lost"])
        again.begin_history(AttemptHistory(delivered=list(first.delivered)))
        for record in staged:
            again.stage("feed", record, tmp_path)
        if keyless is not None:
            again.note_keyless(keyless)
        assert again.may_repeat_items is expected


def test_what_was_delivered_is_not_staged_again(tmp_path: Path) -> None:
    first = Page(1)
    first.add_delivered("feed", [b"a", b"a"])
    again = Page(1)
    again.begin_history(AttemptHistory(delivered=list(first.delivered)))
    for record in (b"a", b"b", b"a", b"a"):
        again.stage("feed", record, tmp_path)
    assert [record for _, record in next(again.items.staged["feed"].batches(100))] == [b"b", b"a"]
    assert not again.was_delivered(ITEMS, b"a")
