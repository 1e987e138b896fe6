"""Requests for one page are told apart by callback, meta and cb_kwargs, and by nothing that changes by itself."""

from __future__ import annotations

import random
from datetime import datetime, timezone
from typing import Any
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st
from scrapy import Request

from scrapy_t8.model.codec import Codec
from scrapy_t8.model.stored.identity import LEFT_OUT, identity_of
from tests.support.item_classes import SampleSpider

spider = SampleSpider()
codec = Codec(spider)
plain = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.binary(max_size=5)
values = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.frozensets(plain, max_size=4)
        | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=10,
)


def identity(callback: Any = None, meta: dict[str, Any] | None = None, **kwargs: Any) -> bytes:
    return identity_of(codec.encode_request(Request("http://a", callback, meta=meta, cb_kwargs=kwargs)))


def reordered(value: Any) -> Any:
    """Return an equal value whose dicts are in another order."""
    if isinstance(value, dict):
        items = [(key, reordered(part)) for key, part in value.items()]
        random.Random(1).shuffle(items)
        return dict(items)
    if isinstance(value, (list, tuple)):
        return type(value)(map(reordered, value))
    return value


@given(values)
def test_the_order_of_keys_says_nothing(value: Any) -> None:
    assert identity(meta={"v": value, "w": 1}, k=value) == identity(meta={"w": 1, "v": reordered(value)}, k=value)


@given(values, values)
def test_values_say_something(one: Any, other: Any) -> None:
    if identity(k=one) == identity(k=other):
        assert one == other
    if identity(meta={"v": one}) == identity(meta={"v": other}):
        assert one == other


def test_the_order_of_a_set_says_nothing() -> None:
    """Two sets of the same values, made so that their order differs, as between two processes."""
    names = [str(number) for number in range(100)]
    one, other = set(names), set()
    for name in reversed(names):
        other.add(name)
    assert identity(k=one) == identity(k=other)
    assert identity(k=one) != identity(k=set(names[1:]))


def test_the_callback_says_something() -> None:
    assert identity(spider.parse) != identity(spider.detail) != identity()


def test_what_each_attempt_of_a_page_makes_anew_says_nothing() -> None:
    made = [{"at": datetime.now(timezone.utc), "id": uuid4(), "took": random.random()} for _ in range(2)]
    assert identity(meta=made[0]) == identity(meta=made[1])
    assert identity(meta={"proxy": "a", "retry_times": 1, "t8_x": 1}) == identity(meta={"proxy": "b"})


def test_arguments_that_are_left_out_say_nothing() -> None:
    left_out = {LEFT_OUT: ["results"]}
    assert identity(meta=left_out, item=1, results=["new"]) == identity(meta=left_out, item=1, results=["stored"])
    assert identity(meta=left_out, item=1, results=[]) != identity(meta=left_out, item=2, results=[])
    assert identity(item=1, results=["new"]) != identity(item=1, results=["stored"])
    # The meta was copied to a request that has no such argument, or none at all.
    assert identity(meta=left_out, item=1) != identity(meta=left_out, item=2)
    assert identity(meta=left_out) == identity() != b""


def test_what_cannot_be_read_has_no_identity() -> None:
    for payload in (b"", b"\x02abc", b"\x01\x00\x00\x00\x00\xc1", b"\x01\x00\x00\x00\x00\x93\x01"):
        assert identity_of(payload) == b""
