"""The key of an item, which identifies the item; or a hash of its content."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from hashlib import blake2b
from typing import Any

import msgpack
from itemadapter import ItemAdapter
from scrapy import Spider

from scrapy_t8.config.parsing import load_callable
from scrapy_t8.errors import ConfigError
from scrapy_t8.utils.text import escape_surrogates

from .by_class import by_class, part_for

SETTING = "T8_ITEM_KEY"
METHOD = "t8_item_key"
"""Name of a method of an item (no arguments) or of the spider (the item) that returns the key, or None."""
SHOWN = 200
"""Characters of a key that are kept as they are."""
DIGEST = 6
"""Bytes of the digest of a field."""

Rule = Callable[[Any], Any]


class NoKey(Exception):
    """An item lacks a field of its key."""


class ItemKeys:
    """The rule for the key of each item, by its class.

    In this order: T8_ITEM_KEY, a method ``t8_item_key`` of the item, one of the spider. An item for which there is none
    has no key, only content.

    :param setting: the name of a field, several, a callable or its import path; or a dict of these by class, which is
        named by its import path or its bare name (``*``: any other).
    :param exclude: fields that do not count as content.
    :raises ConfigError: if the setting is invalid.
    """

    def __init__(self, setting: Any, exclude: Collection[str] = (), spider: Spider | None = None) -> None:
        self._by_class = {name: _rule_of(part) for name, part in by_class(setting, SETTING).items()}
        self._exclude = frozenset(exclude)
        self._spider = spider
        self._known: dict[type, Rule | None] = {}

    def key(self, item: Any) -> str | None:
        """Return the key of *item* as text; None if there is no rule for it.

        :raises NoKey: if there is one, and the item lacks a field of it.
        """
        cls = type(item)
        if cls not in self._known:
            self._known[cls] = self._rule(item)
        rule = self._known[cls]
        if rule is None:
            return None
        try:
            value = rule(item)
        except NoKey:
            raise
        except Exception as error:
            raise NoKey(f"its key cannot be computed: {error!r:.200}") from error
        if value is None or value == "":
            raise NoKey("its key is empty")
        return value if type(value) is str else key_text(value)

    def content(self, item: Any) -> bytes:
        """Return the canonical content of *item*: the same for the same fields and values, whatever the class."""
        return canonical({name: value for name, value in fields_of(item) if name not in self._exclude})

    def digest(self, item: Any) -> bytes:
        """Return a hash of each field of *item*, for :func:`differences`."""
        fields = ((str(name), value) for name, value in fields_of(item) if name not in self._exclude)
        packed: bytes = msgpack.packb({name: _hash(canonical(value)) for name, value in fields})
        return packed

    def _rule(self, item: Any) -> Rule | None:
        cls = type(item)
        rule = part_for(cls, self._by_class)
        if rule is not None:
            return rule
        if callable(getattr(cls, METHOD, None)):
            return lambda item: getattr(item, METHOD)()
        of_spider = getattr(self._spider, METHOD, None)
        return of_spider if callable(of_spider) else None


def fields_of(item: Any) -> Iterable[tuple[Any, Any]]:
    """Return the fields of an item of any kind, with their values."""
    return item.items() if isinstance(item, dict) else ItemAdapter(item).items()


def differences(before: bytes, after: bytes) -> list[str]:
    """Return the names of the fields in which two digests differ, sorted."""
    old, new = (told if isinstance(told, dict) else {} for told in map(msgpack.unpackb, (before, after)))
    return sorted(name for name in {*old, *new} if old.get(name) != new.get(name))


def key_text(value: Any) -> str:
    """Return a key as text, the same for an item and for an announcement. Several values become a JSON list."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, (list, tuple)):
        return json.dumps([key_text(part) for part in value], ensure_ascii=False)
    if isinstance(value, (dict, set, frozenset)):
        return canonical(value).decode()
    return str(value)


def key_bytes(text: str) -> bytes:
    """Return the bytes that a key is hashed from, the same for an item and for an announcement."""
    return b"key:" + text.encode("utf-8", "surrogatepass")


def shown(text: str) -> str:
    """Return *text*, shortened for the store and for display; still different for different keys."""
    if len(text) <= SHOWN and text.isascii():
        return text
    if len(text) > SHOWN:
        text = f"{text[:SHOWN]}...{_hash(text.encode('utf-8', 'surrogatepass')).hex()}"
    return escape_surrogates(text)


def canonical(value: Any) -> bytes:
    """Return *value* as bytes in which neither the order of keys nor the class of containers matters."""
    try:
        text = json.dumps(value, sort_keys=True, default=_plain, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):  # keys that cannot be sorted, a value that contains itself
        text = _by_hand(value, ())
    return text.encode("utf-8", "surrogatepass")


def _plain(value: Any) -> Any:
    if isinstance(value, (set, frozenset)):
        return sorted(canonical(part).decode("utf-8", "surrogatepass") for part in value)
    if isinstance(value, bytes):
        return f"bytes:{value.hex()}"
    if ItemAdapter.is_item(value):
        return dict(ItemAdapter(value).items())
    if isinstance(value, Mapping):
        return dict(value)
    return f"{type(value).__name__}:{value}"


def _by_hand(value: Any, above: tuple[int, ...]) -> str:
    if id(value) in above or len(above) > SHOWN:
        return '"..."'
    below = (*above, id(value))
    if isinstance(value, dict):
        pairs = sorted(f"{_by_hand(key, below)}:{_by_hand(part, below)}" for key, part in value.items())
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(_by_hand(part, below) for part in value) + "]"
    if value is None or isinstance(value, (str, int, float)):
        return json.dumps(value, ensure_ascii=False)
    return _by_hand(_plain(value), below)


def _hash(data: bytes) -> bytes:
    return blake2b(data, digest_size=DIGEST).digest()


# -- the setting -------------------------------------------------------------------------------------------------


def _rule_of(setting: Any) -> Rule:
    if callable(setting):
        return setting  # type: ignore[no-any-return]
    if isinstance(setting, str) and "." in setting:
        return _loaded(setting)
    names = [name.strip() for name in setting.split(",")] if isinstance(setting, str) else setting
    if not isinstance(names, (list, tuple)) or not names or not all(isinstance(name, str) and name for name in names):
        raise ConfigError(
            f"{SETTING} is {setting!r}, but must be the name of a field, a list of them, a callable or its import "
            "path; or a dict of these by class"
        )
    chosen = [str(name) for name in names]
    if len(chosen) == 1:
        return partial(_field, chosen[0])
    return partial(_fields, chosen)


def _loaded(path: str) -> Rule:
    try:
        return load_callable(SETTING, path)  # type: ignore[no-any-return]
    except ConfigError as error:
        raise ConfigError(f"{error} (a field with a dot in it goes into a list)") from None


def _fields(names: list[str], item: Any) -> list[Any]:
    adapter = item if isinstance(item, dict) else ItemAdapter(item)
    return [_field(name, adapter) for name in names]


def _field(name: str, item: Any) -> Any:
    value = (item if isinstance(item, (dict, ItemAdapter)) else ItemAdapter(item)).get(name)
    if value is None or value == "":
        raise NoKey(f"it has no {name!r}")
    return value
