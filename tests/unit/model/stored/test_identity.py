"""The requests of one page differ by callback, meta and cb_kwargs, whatever is new in them at each attempt."""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime, timezone
from typing import Any, NamedTuple
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st
from scrapy import Request

from scrapy_t8.model.codec import Codec
from scrapy_t8.model.stored.identity import KIN, PART, PARTS, child_key, earlier_keys, pair
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
    return child_key(1, codec.encode_request(Request("http://a", callback, meta=meta, cb_kwargs=kwargs)))


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


def test_what_scrapy_puts_into_meta_says_nothing() -> None:
    assert identity(meta={"proxy": "a", "retry_times": 1, "t8_x": 1}) == identity(meta={"proxy": "b"})


def test_each_value_has_bytes_of_its_own() -> None:
    made = [
        identity(meta={"at": datetime.now(timezone.utc), "of": {"id": uuid4(), "name": "a"}}, took=random.random())
        for _ in range(2)
    ]
    parts = [{key[begin : begin + PART] for begin in range(KIN, len(key), PART)} for key in made]
    assert made[0][:KIN] == made[1][:KIN]
    assert [len(found) for found in parts] == [4, 4]
    assert len(parts[0] & parts[1]) == 1


def test_many_values_share_bytes() -> None:
    keys = [identity(meta={str(number): number * factor for number in range(500)}) for factor in (1, 2)]
    assert {len(key) for key in keys} == {KIN + PART * PARTS}
    assert keys[0] != keys[1]
    assert identity(meta={"a": {}, "b": {}}) != identity(meta={"a": {}})


def test_what_cannot_be_read_is_told_apart_by_its_fingerprint() -> None:
    for payload in (b"", b"\x02abc", b"\x01\x00\x00\x00\x00\xc1", b"\x01\x00\x00\x00\x00\x93\x01"):
        assert child_key(1, payload) == child_key(1, b"") != child_key(2, payload)
        assert earlier_keys(1, payload) == earlier_keys(1, b"")


# -- the rule: which requests of a replayed page are taken for which earlier ones --------------------------------------


class Child(NamedTuple):
    """A request of a page: what never changes in it, and whether it has a text that is new at each attempt."""

    name: int
    is_new_each_time: bool

    def key(self, attempt: int) -> bytes:
        meta = {"name": self.name, "at": f"attempt {attempt}, {self.name}" if self.is_new_each_time else ""}
        return identity(meta=meta)


def replayed(earlier: list[bytes], now: list[bytes]) -> tuple[list[int], list[int]]:
    """Return which requests of a replayed page are new, and which of the earlier ones have no counterpart."""
    unclaimed = dict(enumerate(earlier))
    held = []
    for place, key in enumerate(now):
        same = next((number for number, other in unclaimed.items() if other == key), None)
        if same is not None:
            del unclaimed[same]
        else:
            held.append(place)
    numbers = list(unclaimed)
    pairs = pair([now[place] for place in held], [earlier[number] for number in numbers])
    assert len(set(pairs.values())) == len(pairs) == min(len(held), len(numbers))
    new = [place for number, place in enumerate(held) if number not in pairs]
    return new, [number for place, number in enumerate(numbers) if place not in pairs.values()]


children = st.lists(st.builds(lambda name: Child(name, name % 2 == 1), st.integers(0, 5)), max_size=8)
"""Without the text, a child that has one looks like no child that has none: else nothing could tell these apart."""


@given(children, st.data())
def test_in_any_order_each_request_comes_once(yielded: list[Child], data: st.DataObject) -> None:
    """Whichever of them an earlier attempt has committed, as long as the requests differ in something."""
    committed = data.draw(st.lists(st.sampled_from(range(len(yielded))), unique=True) if yielded else st.just([]))
    again = data.draw(st.permutations(yielded))
    earlier = [yielded[place] for place in sorted(committed)]
    new, left = replayed([child.key(1) for child in earlier], [child.key(2) for child in again])
    assert not left
    assert Counter(earlier) + Counter(again[place] for place in new) == Counter(yielded)


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=8), st.integers(0, 8))
def test_in_the_same_order_each_request_comes_once(yielded: list[tuple[int, bool]], committed: int) -> None:
    """Also where they differ only in a text that is new at each attempt."""
    keys = [
        [identity(meta={"n": f"{attempt} {place}" if is_new else name}) for place, (name, is_new) in enumerate(yielded)]
        for attempt in (1, 2)
    ]
    new, left = replayed(keys[0][:committed], keys[1])
    assert not left
    assert Counter(keys[1][place] for place in new) == Counter(keys[1][committed:])


@given(st.lists(st.binary(min_size=KIN + PART, max_size=KIN + 3 * PART), max_size=6), st.data())
def test_none_is_lost_or_doubled_by_number(keys: list[bytes], data: st.DataObject) -> None:
    """Whatever is in them: as many are admitted as were not committed."""
    keys = [bytes(KIN) + key[KIN : len(key) // PART * PART] for key in keys]
    committed = data.draw(st.integers(0, len(keys)))
    new, left = replayed(data.draw(st.permutations(keys))[:committed], data.draw(st.permutations(keys)))
    assert (len(new), left) == (len(keys) - committed, [])
