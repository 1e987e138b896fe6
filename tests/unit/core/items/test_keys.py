"""Keys and content of items."""

from __future__ import annotations

import dataclasses
from datetime import date
from typing import Any

import attrs
import pytest
import scrapy
from hypothesis import given
from hypothesis import strategies as st

from scrapy_t8.core.items.keys import ItemKeys, NoKey, canonical, differences, key_text, shown
from scrapy_t8.errors import ConfigError


class Car(scrapy.Item):
    id = scrapy.Field()
    shop = scrapy.Field()


@dataclasses.dataclass
class Van:
    id: Any = None
    shop: Any = None


@attrs.define
class Bus:
    id: Any = None
    shop: Any = None


class Named(dict[str, Any]):
    def t8_item_key(self) -> str:
        return f"named {self['id']}"


def key_of(item: Any) -> str:
    """A callable for the setting."""
    return f"by callable {item['id']}"


KINDS = [dict, Car, Van, Bus]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("setting", "key"),
    [
        ("id", "7"),
        ("id,shop", '["7", "a"]'),
        (["shop", "id"], '["a", "7"]'),
        ('["shop", "id"]', '["a", "7"]'),
        (lambda item: 7, "7"),
        ({"*": "id"}, "7"),
        ('{"*": "id"}', "7"),
    ],
)
def test_a_key_is_text_whatever_the_item(kind: Any, setting: Any, key: str) -> None:
    assert ItemKeys(setting).key(kind(id=7, shop="a")) == key


def test_rules_by_class() -> None:
    keys = ItemKeys({f"{__name__}.Van": "shop", "Bus": ["id"], "dict": f"{__name__}.key_of"})
    assert keys.key(Van(1, "a")) == "a"
    assert keys.key(Bus(1, "a")) == '["1"]' or keys.key(Bus(1, "a")) == "1"
    assert keys.key({"id": 3}) == "by callable 3"
    assert keys.key(Car(id=1)) is None


def test_methods_of_item_and_spider() -> None:
    class Spider(scrapy.Spider):
        name = "s"

        def t8_item_key(self, item: Any) -> Any:
            return item["id"] or None

    assert ItemKeys(None).key(Named(id=1)) == "named 1"
    assert ItemKeys(None, spider=Spider()).key(Named(id=1)) == "named 1"
    assert ItemKeys(None, spider=Spider()).key({"id": 2}) == "2"
    assert ItemKeys("id", spider=Spider()).key(Named(id=1)) == "1"
    with pytest.raises(NoKey, match="empty"):
        ItemKeys(None, spider=Spider()).key({"id": ""})


@pytest.mark.parametrize("item", [{}, {"id": None}, {"id": ""}, Van(), Car(), Bus()])
def test_an_item_without_its_key(item: Any) -> None:
    with pytest.raises(NoKey, match="'id'"):
        ItemKeys("id").key(item)


def test_a_key_function_that_raises_gives_no_key() -> None:
    with pytest.raises(NoKey, match="ZeroDivisionError"):
        ItemKeys(lambda item: 1 / 0).key({})


@pytest.mark.parametrize("setting", [5, [], [""], {"*": 5}, "no.such.module", "[1", "os.path", ["a", 3]])
def test_a_setting_that_makes_no_sense(setting: Any) -> None:
    with pytest.raises(ConfigError, match="T8_ITEM_KEY"):
        ItemKeys(setting)


def test_keys_that_are_no_text() -> None:
    assert key_text({"b": 1, "a": [2]}) == '{"a": [2], "b": 1}'
    assert key_text(b"\xff") == "\\xff"
    assert key_text((1, "x")) == key_text([1, "x"]) == '["1", "x"]'
    assert key_text(date(2026, 1, 2)) == "2026-01-02"


def test_a_huge_key_is_cut_and_still_its_own() -> None:
    one, other = "x" * 10_000 + "a", "x" * 10_000 + "b"
    assert len(shown(one)) < 300
    assert shown(one) != shown(other)
    assert shown("half \ud83d") == "half \\ud83d"


def test_content_knows_neither_order_nor_class() -> None:
    keys = ItemKeys(None, ["when"])
    one = keys.content({"id": 1, "shop": {"b": 1, "a": {3, 1, 2}}, "when": 1})
    assert one == keys.content(Van(1, {"a": {2, 3, 1}, "b": 1}))
    assert one != keys.content({"id": 1, "shop": {"b": 2, "a": {3, 1, 2}}})
    assert keys.content({"id": 1}) != keys.content({"id": "1"})


def test_content_that_is_awkward() -> None:
    circle: dict[Any, Any] = {1: "a", "1": "b", None: b"x"}
    circle["self"] = circle
    assert canonical(circle) == canonical(circle)
    assert canonical({1: 1, "a": 2}) == canonical({"a": 2, 1: 1})
    assert canonical("half \ud83d")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(min_size=1), VALUES), st.randoms())
def test_any_content_has_one_form(item: dict[str, Any], chance: Any) -> None:
    shuffled = list(item.items())
    chance.shuffle(shuffled)
    keys = ItemKeys(None)
    assert keys.content(item) == keys.content(dict(shuffled))
    assert differences(keys.digest(item), keys.digest(dict(shuffled))) == []
    changed = {**item, "n": object}
    assert differences(keys.digest(item), keys.digest(changed)) == ["n"]
