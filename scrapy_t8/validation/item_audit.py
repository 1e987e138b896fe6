"""Checks whether all items of a task type exist, each once: in the user's database, or as the collector reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

from scrapy_t8.errors import DatabaseError
from scrapy_t8.model.items import integrity_score
from scrapy_t8.model.resume_point import FINISHED, RUNNING, CollectionState
from scrapy_t8.utils.threads import NoAnswer

from .database import BoundedDatabase, named
from .key_counter import KeyCounter
from .record_checks import Finding, finding_of, wrong_count

EXAMPLES = 20
"""Maximum number of keys that a finding names."""
LOOKED_UP = 1000
"""Maximum number of missing keys that are looked up once more."""

Items = dict[str, Any]
"""``expected``, ``there``, ``unique``, ``invalid``, ``duplicates``, ``duplicate_keys``, ``missing``, ``missing_keys``,
``unexpected``, as in :meth:`ResumeValidator.validate`."""


def score_of(items: Mapping[str, Items]) -> float | None:
    """Return the score of all task types together whose number of expected items is known."""
    known = [one for one in items.values() if one["expected"]]
    # Surplus items of one type do not make up for missing items of another.
    there = sum(min(one["unique"], one["expected"]) for one in known)
    return integrity_score(there, sum(one["expected"] for one in known))


def reported_items(state: CollectionState) -> Items:
    """Return the items as the collector itself reports them."""
    processed = max(0, state.processed_items)
    unique = min(processed, state.total_items) if state.total_items else processed
    return items_of(state.total_items, processed, unique)


def items_of(expected: int, there: int = 0, unique: int = 0) -> Items:
    """Return so many items, of which nothing else is known."""
    return {
        "expected": expected or None,
        "there": there,
        "unique": unique,
        "invalid": 0,
        "duplicates": 0,
        "duplicate_keys": {},
        "missing": max(0, expected - unique) if expected else None,
        "missing_keys": [],
        "unexpected": 0,
    }


class ItemAudit:
    """Checks the items of one task type in the user's database, key by key, in bounded memory.

    :param is_valid: whether the item of a task type with a key counts.
    :param expected_keys: returns an (async) iterable of the keys that a task type should have; None if unknown.
    """

    def __init__(
        self,
        database: BoundedDatabase,
        state: CollectionState,
        *,
        is_valid: Callable[[str, str], bool],
        expected_keys: Callable[[str], Any],
    ) -> None:
        self._database = database
        self._state = state
        self._is_valid = is_valid
        self._expected_keys = expected_keys
        self._counter = KeyCounter()
        self._there = self._invalid = 0
        self.count: int | None = None
        """The number of items that the database has counted."""
        self.wanted: int | None = None
        """The number of expected keys; None if they are unknown."""
        self.problems: list[Finding] = []

    async def run(self) -> Items:
        """Return the items. Afterwards ``problems`` has the findings. A DatabaseError is raised without an answer."""
        task_type, counter = self._state.task_type, self._counter
        with closing(counter):
            before = self.count = await self._database.count(task_type)
            await self._database.keys(task_type, self._take)
            self.count = await self._database.count(task_type)
            if not min(before, self.count) <= self._there <= max(before, self.count):
                self._find("contradictory", "", f"count_items says {self.count}, iter_keys gives {self._there}")
            for problem in wrong_count(self.count, self._state):
                self._find(*problem)
            missing_keys = await self._missing() if await self._expect() else None
            counts, duplicate_keys = counter.counts(), counter.duplicates(EXAMPLES)
        expected, unique = self._state.total_items, counts.unique
        if missing_keys is not None:
            expected = self.wanted = counts.expected
            unique = counts.collected
        items = items_of(expected, self._there, unique) | {
            "invalid": self._invalid,
            "duplicates": counts.repeated,
            "duplicate_keys": duplicate_keys,
            "missing_keys": (missing_keys or [])[:EXAMPLES],
            "unexpected": counts.unique - unique,
        }
        self._judge(items)
        return items

    def _take(self, keys: list[str]) -> None:
        valid = [key for key in keys if self._is_valid(self._state.task_type, key)]
        self._there += len(keys)
        self._invalid += len(keys) - len(valid)
        self._counter.add(valid)

    async def _expect(self) -> bool:
        try:
            return await self._database.stream(lambda: self._expected_keys(self._state.task_type), self._counter.expect)
        except NoAnswer:
            raise DatabaseError("expected_keys took too long to give a key") from None
        except Exception as error:
            raise DatabaseError(f"expected_keys failed: {named(error)}") from error

    async def _missing(self) -> list[str]:
        # A running collector may have added some of the missing items since the keys were read.
        missing = self._counter.missing(LOOKED_UP)
        added = {key for key in missing if await self._database.has(self._state.task_type, key)}
        self._counter.add(added)
        self._there += len(added)
        return [key for key in missing if key not in added]

    def _judge(self, items: Items) -> None:
        duplicates, invalid, missing = items["duplicates"], items["invalid"], items["missing"]
        if duplicates:
            names = [f"{key} ({times} times)" for key, times in items["duplicate_keys"].items()]
            self._find("duplicate", "key", _sentence(duplicates, "key is", "keys are", "there more than once", names))
        if invalid:
            self._find("invalid", "key", _sentence(invalid, "key is", "keys are", "empty or not valid", []))
        by_key = self.wanted is not None and self._state.status != RUNNING
        if missing and (by_key or self._state.status == FINISHED):
            self._find("missing", "key", _sentence(missing, "item is", "items are", "missing", items["missing_keys"]))

    def _find(self, rule: str, name: str, message: str) -> None:
        self.problems.append(finding_of(self._state.task_type, self._state.run_id, rule, name, message))


def _sentence(count: int, one: str, several: str, what: str, names: list[str]) -> str:
    more = ", ..." if names and count > len(names) else ""
    return f"{count} {one if count == 1 else several} {what}" + (f": {', '.join(names)}{more}" if names else "")
