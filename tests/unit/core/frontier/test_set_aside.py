"""Requests that a middleware keeps back are found again when it sends them, and written down when it does not."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from scrapy import Request, Spider

from scrapy_t8.core.frontier.set_aside import MARK, SetAside, is_same_work, takes_over
from scrapy_t8.core.page import Page
from scrapy_t8.model.entry import Ending, Outcome
from tests.unit.core.parts import fingerprint63

spider = Spider("spider")


def parse(response: Any) -> None: ...


def other(response: Any) -> None: ...


URL = "http://shop/page?a=1&b=2"
REQUEST = Request(URL, parse, cb_kwargs={"k": [1]}, meta={"depth": 2, "download_slot": "shop"})
DEFAULT = Request(URL, meta={"depth": 2, "download_timeout": 180.0})


@pytest.mark.parametrize(
    ("sent", "request_", "same", "takes"),
    [
        (REQUEST.copy(), REQUEST, True, True),
        (REQUEST.replace(dont_filter=True, headers={"Token": "x"}), REQUEST, True, True),
        (REQUEST.replace(url=f"http://proxy/?u={URL}"), REQUEST, True, True),
        (REQUEST.replace(url=f"http://proxy/?u={quote(URL, '')}"), REQUEST, True, True),
        (REQUEST.replace(url="http://shop/b", meta={"redirect_urls": [URL]}), REQUEST, True, True),
        (REQUEST.replace(url="http://proxy/", meta={"real": URL}), REQUEST, True, True),
        (REQUEST.replace(url="http://proxy/", meta={"real": REQUEST}), REQUEST, True, True),
        (REQUEST.replace(url="http://shop/login"), REQUEST, True, False),
        (REQUEST.replace(callback=other), REQUEST, False, False),
        (REQUEST.replace(errback=other), REQUEST, False, False),
        (REQUEST.replace(cb_kwargs={}), REQUEST, False, False),
        (Request("http://shop/token", other), REQUEST, False, False),
        (Request("http://shop/token"), REQUEST, False, False),
        (Request("http://shop/token"), DEFAULT, False, False),
        (DEFAULT.replace(url="http://m.shop/page"), DEFAULT, True, False),
        (Request("http://proxy/", meta={"real": URL}), DEFAULT, True, True),
        # A token came back: what waited for the token is sent.
        (DEFAULT.replace(dont_filter=True), Request("http://shop/token", meta={"original": DEFAULT}), True, True),
        (REQUEST.copy(), Request("http://shop/token", other, meta={"original": REQUEST}), True, True),
        (REQUEST.copy(), Request("http://shop/token", other, meta={"original": DEFAULT}), False, False),
    ],
)
def test_what_a_request_does_in_the_place_of_another(sent: Request, request_: Request, same: bool, takes: bool) -> None:
    assert is_same_work(sent, request_) == same
    assert takes_over(sent, request_) == takes


def aside(*requests: Request, in_memory: bool = False) -> tuple[SetAside, list[Page]]:
    found, pages = SetAside(fingerprint63), [Page(number + 1) for number in range(len(requests))]
    for request, page in zip(requests, pages, strict=True):
        found.add(request, page, Ending(f"ignored:{page.entry}", request.url), in_memory=in_memory)
    return found, pages


def test_a_copy_carries_a_mark() -> None:
    """Whatever is changed in it. The mark is taken off, so that it does not travel on."""
    requests = [Request("http://a", parse), Request("http://a", parse)]
    found, pages = aside(*requests)
    copy = requests[1].replace(url="http://a?token=1", dont_filter=True)
    back = found.take_mark(copy)
    assert back is not None
    assert back.page is pages[1]
    assert MARK not in copy.meta
    assert found.take_mark(copy) is None


def test_a_request_made_anew_is_recognised_by_what_it_does() -> None:
    found, (page,) = aside(REQUEST.copy())
    again = Request(URL, parse, cb_kwargs={"k": [1]}, dont_filter=True)
    back = found.find(again)
    assert back is not None
    assert back.page is page
    assert found.find(again.replace(callback=other)) is None
    assert found.find(again.replace(url="http://shop/")) is None
    found.remove(back)
    assert found.find(again) is None
    assert not found


def test_what_does_not_come_back_has_ended() -> None:
    requests = [Request(f"http://a/{number}") for number in range(5)]
    found, pages = aside(*requests)
    assert list(found.give_up(3)) == pages[:2]
    assert list(found.give_up()) == pages[2:]
    assert [page.outcome for page in pages] == [Outcome.DISCARDED] * 5
    assert pages[4].ending == Ending("ignored:5", "http://a/4")


def test_one_that_runs_from_memory_ends_with_its_page() -> None:
    found, (page,) = aside(Request("http://a"), in_memory=True)
    assert not found.has(page)
    assert list(found.give_up()) == [page]
    assert page.outcome is Outcome.PENDING
    assert list(page.ends_in_memory) == [Ending("ignored:1", "http://a")]


def test_the_request_of_a_page_that_has_failed_otherwise() -> None:
    found, (first, second) = aside(Request("http://a/1"), Request("http://a/2"))
    assert found.remove_page(first)
    assert not found.remove_page(first)
    assert (found.has(first), found.has(second)) == (False, True)
