"""Counts the problems of items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgpack

from scrapy_t8.stores.base import Store

KEPT = "problems"
"""Name under which the store keeps the counts."""
KINDS = 200
"""Different problems that are counted separately."""
EXAMPLES = 5

Found = tuple[str, str, str, str]
"""Rule, class of the item, field, message."""


class ProblemCounter:
    """Counts each problem, and keeps the keys of some items that have it."""

    def __init__(self, store: Store) -> None:
        self._rows: dict[Found, list[Any]] = {
            (rule, item, field, message): rest for rule, item, field, message, *rest in _rows(store.kept(KEPT))
        }
        self._is_changed = False

    def add(self, found: Sequence[Sequence[str]], key: str | None) -> None:
        """Count the problems of one item."""
        for rule, item, field, message in found:
            which = (rule, item, field, message)
            if which not in self._rows and len(self._rows) >= KINDS:
                which = (rule, item, field, "(other messages)")
            row = self._rows.setdefault(which, [0, []])
            row[0] += 1
            if key is not None and len(row[1]) < EXAMPLES and key not in row[1]:
                row[1].append(key)
            self._is_changed = True

    def dump(self) -> dict[str, bytes]:
        """Return the counts for the store, if they have changed."""
        if not self._is_changed:
            return {}
        self._is_changed = False
        return {KEPT: msgpack.packb([[*which, *row] for which, row in self._rows.items()])}


def problems_of(kept: dict[str, bytes]) -> list[dict[str, Any]]:
    """Return the problems in the form of the report, the most frequent first."""
    names = ("rule", "item", "field", "message", "count", "examples")
    rows = [dict(zip(names, row, strict=True)) for row in _rows(kept)]
    return sorted(rows, key=lambda row: (-row["count"], row["rule"], row["item"], row["field"], row["message"]))


def _rows(kept: dict[str, bytes]) -> list[list[Any]]:
    rows: list[list[Any]] = msgpack.unpackb(kept[KEPT]) if KEPT in kept else []
    return rows
