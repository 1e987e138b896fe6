"""Which fields the items have."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any

import msgpack

from scrapy_t8.stores.base import Store
from scrapy_t8.utils.text import escape_surrogates

from .keys import fields_of

KEPT = "coverage"
"""Under this name the store keeps it."""
CLASSES, FIELDS = 50, 500
"""Classes of items, and fields of one class, that are told apart."""
OTHERS = "(other classes)"
HOLLOW = frozenset({str, list, dict, tuple})
"""What of these has nothing in it is not filled."""
SHAPES = 1000
"""Classes and their filled fields that are held in memory."""


class Coverage:
    """Counts, for each class of items, how many there are and in how many of them each field is filled."""

    def __init__(self, store: Store) -> None:
        self._counts = coverage_of(store.kept(KEPT))
        self._new: Counter[bytes] = Counter()

    def count(self, shape: bytes, change: int = 1) -> None:
        """One more item of this shape is exported; or one less (-1)."""
        self._new[shape] += change

    def dump(self) -> dict[str, bytes]:
        """What has changed, to be kept."""
        if not self._new:
            return {}
        for shape, change in self._new.items():
            if change:
                cls, filled = msgpack.unpackb(shape)
                self._add(cls, filled, change)
        self._new.clear()
        return {KEPT: msgpack.packb(self._counts)}

    def _add(self, cls: str, filled: list[str], change: int) -> None:
        counts = self._counts.get(cls)
        if counts is None:
            counts = self._counts.setdefault(cls if len(self._counts) < CLASSES else OTHERS, [0, {}])
        counts[0] += change
        fields = counts[1]
        for name in filled:
            if name in fields:
                fields[name] += change
                if not fields[name]:
                    del fields[name]
            elif len(fields) < FIELDS:
                fields[name] = change


def shape_of(item: Any) -> bytes:
    """The class of *item*, and the fields that are filled in it, as it is stored."""
    # As is_empty() has it, without a call for each field.
    filled = [name for name, value in fields_of(item) if value is not None and (type(value) not in HOLLOW or value)]
    return _packed(type(item).__qualname__, tuple(filled))


# Most items are of one shape.
@lru_cache(SHAPES, typed=True)
def _packed(cls: str, filled: tuple[Any, ...]) -> bytes:
    shape: bytes = msgpack.packb((cls, [escape_surrogates(str(name)) for name in filled]))
    return shape


def is_empty(value: Any) -> bool:
    """Whether a field with this value is not filled."""
    return value is None or (type(value) in HOLLOW and not value)


def coverage_of(kept: dict[str, bytes]) -> dict[str, list[Any]]:
    """For each class: the number of items, and of how many each field is filled."""
    counts: dict[str, list[Any]] = msgpack.unpackb(kept[KEPT]) if KEPT in kept else {}
    return counts
