"""Requests of a page that carry something changeable run from memory until it is clear what they share."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import pytest
from scrapy import Item, Request

from scrapy_t8.core.frontier.replay import ReplayGuard
from scrapy_t8.core.frontier.sharing import HELD_OF_START, READERS, Child, Sharing, changeable
from scrapy_t8.core.page import Page
from scrapy_t8.model.codec import Codec
from scrapy_t8.model.entry import START
from tests.support.item_classes import DataItem, PlainItem, Point, PostRequest


@dataclass(frozen=True)
class Fixed:
    name: str
    parts: Any = ()


def carrying(value: Any) -> Request:
    return Request("http://a", meta={"depth": 1, "v": value})


@pytest.mark.parametrize(
    ("value", "count"),
    [
        ("text", 0),
        (b"bytes", 0),
        (("a", 1, None), 0),
        (frozenset("a"), 0),
        (Fixed("a"), 0),
        (..., 0),
        ([], 1),
        ({"a": {"b": [1]}}, 3),
        (OrderedDict(a=1), 1),
        (bytearray(b"a"), 1),
        ({"set"}, 1),
        (Fixed("a", ([],)), 1),
        ((1, [2, (3, {4})]), 2),
        (Point(1, {2}), 1),
        (PlainItem(), 1),
    ],
    ids=repr,
)
def test_what_a_callback_could_change(value: Any, count: int) -> None:
    assert len(changeable(carrying(value))) == count
    assert len(changeable(Request("http://a", cb_kwargs={"k": value}))) == count


def test_what_counts_for_an_entry_is_not_moved() -> None:
    assert not changeable(Request("http://a", meta={"v": [], "t8_point": {}}))
    assert not changeable(Request("http://a", meta={"handle_httpstatus_list": [404]}))


def test_a_value_with_many_parts_is_looked_at_in_part() -> None:
    assert 0 < len(changeable(carrying([[number] for number in range(10_000)]))) < 100


class Queue:
    """Takes the place of a queue: notes which requests are stored."""

    def __init__(self) -> None:
        self.stored: list[Request] = []

    def store(self, child: Child) -> None:
        self.stored.append(child.request)


class Remembered(ReplayGuard):
    """Takes the place of what a page has yielded: notes which requests go on to run from memory."""

    def __init__(self) -> None:
        self.parts: list[int] = []

    def add(self, page: Page, child: int, request: Request, payload: bytes) -> None:
        self.parts.append(child)


class Yielding:
    """One page, and the requests that one of its callbacks yields."""

    def __init__(self, entry: int = 7) -> None:
        self.remembered = Remembered()
        self.sharing = Sharing(Codec().encode_item, self.remembered)
        self.queue = Queue()
        self.page = Page(entry)
        self.source = None if entry == START else Request("http://source")
        self.requests: list[Request] = []

    def give(self, *values: Any) -> list[Request]:
        requests = [carrying(value) for value in values]
        for number, request in enumerate(requests):
            child = Child(request, b"", len(self.requests) + number + 1, self.queue, self.page)
            self.sharing.hold(child, self.source, changeable(request))
            self.sharing.store_overdue(self.page, self.source)
        self.requests += requests
        return requests

    def run(self, request: Request, change: Any = None) -> None:
        self.sharing.begin(request)
        if change is not None:
            change()
        self.sharing.end(request)

    def end(self) -> None:
        assert self.source is not None
        self.sharing.end(self.source)

    @property
    def stored(self) -> list[Request]:
        return self.queue.stored


def test_a_request_whose_response_comes_before_the_callback_has_ended_is_remembered_as_a_part() -> None:
    page = Yielding()
    first, _ = page.give({}, {})
    page.run(first)
    page.end()
    assert page.remembered.parts == [-1]
    assert page.stored == page.requests[1:]


def test_requests_of_start_are_remembered_as_parts_if_they_share_something() -> None:
    page, basket = Yielding(START), {"a": 1}
    for request in page.give(basket, basket, {}):
        page.run(request)
    assert page.remembered.parts == [-1, -2]


def test_requests_that_share_nothing_are_stored_when_the_callback_has_ended() -> None:
    page = Yielding()
    requests = page.give({}, [], PlainItem(), {"a": {}})
    assert not page.stored
    page.end()
    assert page.stored == requests
    assert not page.sharing


def test_a_request_that_has_begun_stays_a_part_of_its_page() -> None:
    page = Yielding()
    first, second, third = page.give({}, {}, {})
    page.sharing.begin(first)
    page.run(second)
    page.end()
    assert page.stored == [third]


def test_a_value_that_a_callback_changes_keeps_its_requests_in_memory(caplog: pytest.LogCaptureFixture) -> None:
    shared: dict[str, Any] = {"left": 9}
    page = Yielding()
    first, *others, alone = page.give(*[{"of": (shared,)} for _ in range(9)], {})
    page.end()
    assert page.stored == [alone]
    page.run(first, lambda: shared.update(left=8))
    for request in others[1:]:
        page.run(request)
    assert page.stored == [alone]
    assert len([line for line in caplog.messages if "changed a dict" in line]) == 1


def test_a_value_into_which_something_live_is_put_has_changed() -> None:
    shared: list[Any] = []
    page = Yielding()
    requests = page.give(*[shared] * 9)
    page.end()
    page.run(requests[0], lambda: shared.append(object()))
    for request in requests[1:6]:
        page.run(request)
    assert not page.stored


def test_a_value_that_is_only_read_is_let_go() -> None:
    shared = {"currency": "EUR"}
    page = Yielding()
    requests = page.give(*[shared] * 9)
    page.end()
    for request in requests[:READERS]:
        assert not page.stored
        page.run(request)
    assert page.stored == requests[READERS:]
    child = Child(carrying(shared), b"", 1, page.queue, page.page)
    assert not page.sharing.hold(child, page.source, changeable(child.request))


def test_two_values_are_looked_at_one_by_one() -> None:
    """A request stays in memory as long as one of its values is shared and changed."""
    read, changed = {"a": 1}, {"b": 1}
    page = Yielding()
    requests = page.give(*[[read, changed]] * 6)
    page.end()
    for request in requests[: READERS + 1]:
        page.run(request, lambda: changed.update(b=changed["b"] + 1))
    assert not page.stored


def test_start_may_go_on_for_hours() -> None:
    """A request of ``start()`` that shares nothing waits for few others, and for its response at the most."""
    page = Yielding(START)
    requests = page.give(*[{} for _ in range(HELD_OF_START + 3)])
    assert page.stored == requests[:3]
    page.sharing.begin(requests[5])
    assert page.stored == [*requests[:3], requests[5]]
    page.sharing.end_of_start(page.page)
    assert set(page.stored) == set(requests)


def test_nothing_is_kept_of_a_page_that_has_settled() -> None:
    page = Yielding()
    requests = page.give(*[DataItem("a")] * 2, {})
    page.end()
    for request in requests:
        page.run(request)
    page.sharing.settle(page.page)
    assert not page.sharing
    assert not page.sharing._values


def test_attributes_of_a_subclass_are_looked_at() -> None:
    request = PostRequest("http://a")
    before = len(changeable(request))
    request.__dict__["basket"] = []
    assert len(changeable(request)) == before + 1


def test_an_item_of_scrapy() -> None:
    class Car(Item):
        pass

    assert len(changeable(carrying(Car()))) == 1
