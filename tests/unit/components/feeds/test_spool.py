"""The spool returns every item of a job, of every kind, whatever is in it."""

from __future__ import annotations

import datetime
import enum
from collections import Counter, OrderedDict, defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import pydantic
import pytest
from scrapy.item import Field, Item

from scrapy_t8.components.feeds.spool import ItemSpool
from scrapy_t8.model.codec import Codec
from scrapy_t8.model.items import FeedBalance
from tests.integration.feeds.project.feed_parts import KINDS, Opaque


class Anything(Item):
    a = Field()
    b = Field()


@attrs.frozen
class Frozen:
    a: Any


class Checked(pydantic.BaseModel):
    a: int
    model_config = pydantic.ConfigDict(frozen=True, validate_assignment=True)


class Level(enum.IntEnum):
    HIGH = 3


class Wide(float):
    """As a number of numpy is."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "items.spool"


def spool_of(path: Path, record: dict[str, Any] | None = None) -> ItemSpool:
    return ItemSpool(path, Codec(), record, power=False)


def through(path: Path, *items: Any) -> list[Any]:
    spool = spool_of(path)
    spool.write([spool.encode(item)[0] for item in items])
    return [item for _, item in spool.numbered()]


@pytest.mark.parametrize("kind", KINDS)
def test_items_keep_their_kind(kind: Any, path: Path) -> None:
    item = kind(id="1-1", name="Ž", price=1.5, tags=["a"])
    (found,) = through(path, item)
    assert type(found) is kind
    assert found == item


def test_values_keep_their_types(path: Path) -> None:
    item = {
        "when": datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc),
        "day": datetime.date(2026, 1, 2),
        "price": Decimal("1.10"),
        "large": 1 << 80,
        "nested": Anything(a={"b": (1, {2})}),
        "ordered": OrderedDict(x=b"\x00"),
        "lone": "\ud800",
        5: None,
    }
    assert through(path, item) == [item]


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"a": Opaque()}, {"a": "opaque"}),
        ({"a": [1, {"b": Opaque()}, (Opaque(), 2)]}, {"a": [1, {"b": "opaque"}, ["opaque", 2]]}),
        ({Opaque(): 1}, {"opaque": 1}),
        ({"a": {Opaque()}}, {"a": ["opaque"]}),
        (Anything(a=Opaque(), b=1), Anything(a="opaque", b=1)),
        (Frozen(a=[Opaque()]), Frozen(a=["opaque"])),
        ({"a": Anything(b=Opaque())}, {"a": Anything(b="opaque")}),
        (Checked.model_construct(a=Opaque()), Checked.model_construct(a="opaque")),
        ({"a": Wide(2.5), "b": Opaque()}, {"a": 2.5, "b": "opaque"}),
    ],
)
def test_what_cannot_be_stored_becomes_text(item: Any, expected: Any, path: Path) -> None:
    (found,) = through(path, item)
    assert found == expected
    assert type(found) is type(expected)


def test_what_holds_itself_becomes_text(path: Path) -> None:
    item: dict[str, Any] = {"a": [1], "b": 2}
    item["a"].append(item["a"])
    item["c"] = item["d"] = [item]
    (found,) = through(path, item)
    assert found["a"] == [1, "[1, [...]]"]
    assert found["b"] == 2
    assert type(found["c"][0]) is type(found["d"][0]) is str


def test_the_cause_is_returned(path: Path) -> None:
    _, error = spool_of(path).encode({"a": [Opaque()]})
    assert error is not None
    assert error.where == "a[0]"
    assert spool_of(path).encode({"a": [1]})[1] is None


def test_numbers_of_derived_classes_stay_numbers(path: Path) -> None:
    (found,) = through(path, {"level": Level.HIGH, "wide": Wide(0.5)})
    assert found == {"level": 3, "wide": 0.5}


def test_a_class_that_cannot_be_found_again_becomes_a_dict(path: Path) -> None:
    @attrs.define
    class Local:
        a: int

    assert through(path, Local(1)) == [{"a": 1}]


@pytest.mark.parametrize("counts", [defaultdict(int, {1: 2}), Counter({("a", 1): 2})])
def test_dicts_of_other_classes(counts: Any, path: Path) -> None:
    assert through(path, {"counts": counts}) == [{"counts": counts}]


def test_only_what_is_committed_is_there(path: Path) -> None:
    first = spool_of(path)
    first.write([first.encode({"n": n})[0] for n in range(3)])
    record = first.record()
    first.write([first.encode({"n": 9})[0][:-1]])
    second = spool_of(path, record)
    second.write([second.encode({"n": 3})[0]])
    assert [item["n"] for _, item in second.numbered()] == [0, 1, 2, 3]


def test_a_new_job_begins_with_an_empty_one(path: Path) -> None:
    assert through(path, {"n": 1}) == [{"n": 1}]
    assert list(spool_of(path).numbered()) == []
    assert through(path, {"n": 2}) == [{"n": 2}]


def damaged(path: Path, at: int, data: bytes | None = None) -> ItemSpool:
    """A spool of ten items, in which the bytes at a place were changed, or which was cut there, while it lay."""
    spool = spool_of(path)
    spool.write([spool.encode({"n": n, "text": "x" * n})[0] for n in range(10)])
    spool.flush()
    whole = bytearray(path.read_bytes())
    path.write_bytes(whole[:at] if data is None else whole[:at] + data + whole[at + len(data) :])
    return spool_of(path, spool.record())


def numbers(spool: ItemSpool) -> list[int]:
    found = list(spool.numbered())
    assert all(number == item["n"] for number, item in found)
    return [number for number, _ in found]


def test_each_byte_that_is_damaged_costs_one_item(path: Path) -> None:
    """Whether it is in the length of an item, in its checksum or in itself; and every other item keeps its number."""
    spool = spool_of(path)
    spool.write([spool.encode({"n": n, "text": "x" * n})[0] for n in range(10)])
    spool.flush()
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.unlink()
        spool = damaged(path, at, bytes([whole[at] ^ 0x55]))
        assert len(numbers(spool)) == 9
        assert FeedBalance.of(spool.record()).missing(10) == 1


def test_garbage_in_the_middle(path: Path) -> None:
    spool = damaged(path, 70, bytes(60))
    left = numbers(spool)
    assert left[0] == 0
    assert left[-1] == 9
    assert FeedBalance.of(spool.record()).missing(10) == 10 - len(left)


@pytest.mark.parametrize("at", [0, 3, 50, 130])
def test_a_spool_that_was_cut_short_goes_on(at: int, path: Path) -> None:
    spool = damaged(path, at)
    left = numbers(spool)
    spool.write([spool.encode({"n": 10})[0]])
    spool.flush()
    again = spool_of(path, spool.record())
    assert numbers(again) == [*left, 10]
    assert FeedBalance.of(again.record()).missing(11) == 10 - len(left) > 0


def test_a_spool_that_is_gone_goes_on(path: Path) -> None:
    spool = damaged(path, 500)
    path.unlink()
    again = spool_of(path, spool.record())
    assert list(again.numbered()) == []
    assert FeedBalance.of(again.record()).missing(10) == 10
