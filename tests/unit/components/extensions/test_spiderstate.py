"""What a commit stores of ``spider.state``: counters without the steps of pages that are not done."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from scrapy_t8.components.extensions.spiderstate import SpiderState
from scrapy_t8.core.page import Page, inside


@pytest.fixture
def pages() -> list[Page]:
    return [Page(number) for number in range(1, 5)]


def add(state: SpiderState, page: Page, key: str = "n", step: int = 1) -> None:
    with inside(page):
        state[key] = state.get(key, 0) + step


def test_a_counter_is_stored_without_the_steps_of_pages_that_are_not_done(pages: list[Page]) -> None:
    state = SpiderState({"n": 5, "other": [1]})
    for page in (*pages, pages[1]):
        add(state, page)
    assert state == {"n": 10, "other": [1]}
    assert state.stored() == {"n": 5, "other": [1]}
    pages[1].settle()
    assert state.stored() == {"n": 7, "other": [1]}
    for page in pages:
        page.settle()
    assert state.stored() == state == {"n": 10, "other": [1]}


def test_a_killed_crawl_counts_each_page_once(pages: list[Page]) -> None:
    state = SpiderState({})
    for page in pages:
        add(state, page, step=20)
    pages[2].settle()
    again = SpiderState(state.stored())
    for number in (1, 2, 4):
        page = Page(number)
        add(again, page, step=20)
        page.settle()
    assert again.stored() == {"n": 80}


@pytest.mark.parametrize(
    ("values", "stored"),
    [
        ([3, 9, 7, 12], 12),  # a position
        ([5, 5, 8, 8], 8),  # a maximum
        ([1, 2, 4, 5], 5),  # steps differ
        ([-1, -2, -3, -4], -4),
        ([0.5, 1.0, 1.5, 2.0], 2.0),
        ([True, False, True, False], False),
        (["a", "ab", "abc", ""], ""),
        ([[], [1], [1, 2], [1, 2, 3]], [1, 2, 3]),
    ],
    ids=["position", "maximum", "steps", "downwards", "float", "bool", "text", "list"],
)
def test_what_is_no_counter_is_stored_as_it_is(pages: list[Page], values: list[Any], stored: Any) -> None:
    state = SpiderState({})
    for page, value in zip(pages, values, strict=True):
        with inside(page):
            state["n"] = value
    assert state.stored() == {"n": stored}


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.update(n=100),
        lambda state: state.pop("n"),
        lambda state: state.clear(),
        lambda state: state.setdefault("m", 3),
    ],
    ids=["update", "pop", "clear", "setdefault"],
)
def test_other_ways_to_change_the_state(pages: list[Page], change: Callable[[SpiderState], Any]) -> None:
    state = SpiderState({})
    add(state, pages[0])
    pages[0].settle()
    state.stored()
    change(state)
    expected = dict(state)
    assert state.stored() == expected
    add(state, pages[1])
    assert state.stored() == {"n": 0} | expected


def test_a_project_that_sets_a_counter_outside_of_pages_counts_anew(pages: list[Page]) -> None:
    state = SpiderState({"n": 57})
    add(state, pages[0])
    state["n"] = 0
    assert state.stored() == {"n": 0}
    add(state, pages[1], step=3)
    add(state, pages[2], step=3)
    pages[1].settle()
    assert state.stored() == {"n": 3}


def test_a_copy_is_a_plain_dict(pages: list[Page]) -> None:
    state = SpiderState({"a": {"b": 1}})
    add(state, pages[0])
    assert type(copy.deepcopy(state)) is dict
    assert copy.copy(state) == json.loads(json.dumps(state)) == {"a": {"b": 1}, "n": 1}
