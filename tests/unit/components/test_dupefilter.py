"""A duplicate filter of the project that is like Scrapy's keeps its fingerprints in the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scrapy import Request
from scrapy.dupefilters import BaseDupeFilter, RFPDupeFilter
from scrapy.utils.request import RequestFingerprinter

from scrapy_t8.components.dupefilter import adopt
from scrapy_t8.core.frontier.frontier import Frontier
from scrapy_t8.core.items.expectations import Expectations
from scrapy_t8.core.resume_points import ResumePointTracker
from scrapy_t8.core.run import RunContext
from tests.unit.core.parts import Control, run_context

FINGERPRINTER = RequestFingerprinter()


class Plain(RFPDupeFilter):
    """Nothing of its own."""


class WithoutQuery(RFPDupeFilter):
    def request_seen(self, request: Any) -> bool:
        return super().request_seen(request.replace(url=request.url.partition("?")[0]))


class ByName(RFPDupeFilter):
    def request_fingerprint(self, request: Any) -> str:
        return bytes(str(request.meta["name"]), "ascii").hex()


class WithASetOfItsOwn(RFPDupeFilter):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("fingerprints", "_fingerprints"):
            if name in vars(self):
                vars(self)[name] = []


@pytest.fixture
def context(tmp_path: Path) -> Any:
    made = run_context(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def frontier(context: RunContext) -> Frontier:
    points, expectations = ResumePointTracker(context), Expectations(context.codec)
    return Frontier(context, Control(), points, expectations=expectations)


def test_what_it_has_seen_waits_for_the_commit(frontier: Frontier, tmp_path: Path) -> None:
    filter_ = Plain(str(tmp_path))
    assert adopt(filter_, frontier, FINGERPRINTER)
    request = Request("http://a/1")
    assert not filter_.request_seen(request)
    assert filter_.request_seen(Request("http://a/1"))
    assert frontier.seen.new
    filter_.close("finished")
    assert not (tmp_path / "requests.seen").read_bytes()


def test_what_an_earlier_release_has_left_in_a_file_says_nothing(frontier: Frontier, tmp_path: Path) -> None:
    earlier = RFPDupeFilter(str(tmp_path))
    earlier.request_seen(Request("http://a/1"))
    earlier.close("finished")
    filter_ = Plain(str(tmp_path))
    adopt(filter_, frontier, FINGERPRINTER)
    assert not filter_.request_seen(Request("http://a/1"))


@pytest.mark.filterwarnings("ignore::scrapy.exceptions.ScrapyDeprecationWarning")
@pytest.mark.parametrize(
    ("cls", "first", "second"),
    [
        (WithoutQuery, Request("http://a/1?a=1"), Request("http://a/1?a=2")),
        (ByName, Request("http://a/1", meta={"name": "x"}), Request("http://a/2", meta={"name": "x"})),
    ],
)
def test_a_filter_that_goes_by_something_else(frontier: Frontier, cls: Any, first: Request, second: Request) -> None:
    """T8 cannot tell what it goes by, and remembers the children of pages by itself."""
    filter_ = cls()
    assert not adopt(filter_, frontier, FINGERPRINTER)
    assert not filter_.request_seen(first)
    assert filter_.request_seen(second)
    assert len(frontier.seen.new) == 1


@pytest.mark.parametrize("cls", [BaseDupeFilter, WithASetOfItsOwn])
def test_other_filters_are_left_alone(frontier: Frontier, cls: Any) -> None:
    assert not adopt(cls(), frontier, FINGERPRINTER)


def test_a_fingerprint_may_be_taken_back(frontier: Frontier) -> None:
    filter_ = Plain()
    adopt(filter_, frontier, FINGERPRINTER)
    kept: Any = vars(filter_).get("_fingerprints", vars(filter_).get("fingerprints"))
    kept.update([b"\x01" * 20, "02" * 20], ["no fingerprint"])
    assert all(fingerprint in kept for fingerprint in (b"\x01" * 20, "01" * 20, b"\x02" * 20, "no fingerprint"))
    kept.discard("01" * 20)
    assert b"\x01" * 20 not in kept
    assert (len(kept), list(kept)) == (2, [])
