"""Low-water marks, against a set that knows every position."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapy_t8.core.watermark import Watermark
from scrapy_t8.errors import FormatError

orders = st.integers(1, 40).flatmap(lambda n: st.permutations(range(1, n + 1)))


def low_of(settled: set[int]) -> int:
    low = 0
    while low + 1 in settled:
        low += 1
    return low


@given(orders, st.data())
def test_in_any_order(order: list[int], data: st.DataObject) -> None:
    track, settled = Watermark(), set[int]()
    for position in order[: data.draw(st.integers(0, len(order)))]:
        before = track.low
        moved = track.settle(position, {"page": position})
        settled.add(position)
        assert track.low == low_of(settled)
        assert moved == (track.low > before)
        assert track.value == ({"page": track.low} if track.low else {})
        assert all(track.is_settled(n) == (n in settled) for n in range(1, 45))
        assert set(track.unsettled()) == set(range(1, track.high + 1)) - settled
        track = Watermark.load(json.loads(json.dumps(track.dump())))
    assert track.total == len(settled)


@given(orders)
def test_what_waits_for_its_parts(order: list[int]) -> None:
    track = Watermark()
    for position in order:
        track.admit_part(position)
        track.admit_part(position)
        assert not track.settle(position, {"page": position})
    track = Watermark.load(json.loads(json.dumps(track.dump())))
    done = set[int]()
    for position in order:
        assert not track.settle_part(position)
        track.settle_part(position)
        done.add(position)
        assert track.low == low_of(done)


def test_a_part_may_settle_before_its_whole() -> None:
    track = Watermark()
    track.admit_part(1)
    assert not track.settle_part(1)
    assert track.low == 0
    assert track.settle(1, {})


def test_settling_twice_changes_nothing() -> None:
    track = Watermark()
    track.settle(2, {"slug": "b"})
    assert not track.settle(2, {"slug": "other"})
    track.settle(1, {"slug": "a"})
    assert (track.low, track.value) == (2, {"slug": "b"})


def test_a_million_beyond_one_that_fails_are_one_range() -> None:
    track = Watermark()
    for position in range(2, 10_000):
        track.settle(position, {"slug": str(position)})
    assert len(track.beyond) == 1
    assert track.settle(1, {"slug": "1"})
    assert (track.low, track.value, track.beyond) == (9999, {"slug": "9999"}, [])


@pytest.mark.parametrize(
    "changes",
    [
        {"low": "one"},
        {"low": True},
        {"beyond": [[5]]},
        {"beyond": [[7, 5, {}]]},
        {"low": 9, "beyond": [[3, 4, {}]]},
        {"value": 3},
        {"high": None},
    ],
)
def test_nonsense_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(FormatError, match="is invalid"):
        Watermark.load({**Watermark().dump(), **changes})


def test_a_field_that_is_missing_is_refused() -> None:
    record = Watermark().dump()
    del record["open"]
    with pytest.raises(FormatError, match="open"):
        Watermark.load(record)
