"""Counts which fields of the items are filled."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any

import msgpack

from scrapy_t8.stores.base import Store
from scrapy_t8.utils.text import escape_surrogates

from .keys import fields_of

KEPT = "coverage"
"""Name under which the store keeps the counts."""
CLASSES, FIELDS = 50, 500
"""Limit of the classes of items, and of the fields of one class, that are counted by name."""
OTHERS = "(other classes)"
HOLLOW = frozenset({str, list, dict, tuple})
"""Types whose empty values count as not filled."""
SHAPES = 1000
"""Combinations of class and filled fields that are held in memory."""


class Coverage:
    """Counts, for each class of items, how many there are and in how many of them each field is filled."""

    def __init__(self, store: Store) -> None:
        self._counts = coverage_of(store.kept(KEPT))
        self._new: Counter[bytes] = Counter()

    def count(self, shape: bytes, change: int = 1) -> None:
        """Count an exported item of this shape; *change* is -1 to take one back."""
        self._new[shape] += change

    def dump(self) -> dict[str, bytes]:
        """Return the counts for the store, if they have changed."""
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
    """Return the class of *item* and its filled fields, in stored form."""
    filled = [name for name, value in fields_of(item) if value is not None and (type(value) not in HOLLOW or value)]
    return _packed(type(item).__qualname__, tuple(filled))


# Most items have the same shape.
@lru_cache(SHAPES, typed=True)
def _packed(cls: str, filled: tuple[Any, ...]) -> bytes:
    shape: bytes = msgpack.packb((cls, [escape_surrogates(str(name)) for name in filled]))
    return shape


def coverage_of(kept: dict[str, bytes]) -> dict[str, list[Any]]:
    """Return for each class the number of items, and for each field in how many of them it is filled."""
    counts: dict[str, list[Any]] = msgpack.unpackb(kept[KEPT]) if KEPT in kept else {}
    return counts
