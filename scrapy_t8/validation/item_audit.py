"""Are the items of a task type there, each once? As the user's database says; else as the collector does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from scrapy_t8.errors import DatabaseError
from scrapy_t8.model.resume_point import CollectionState
from scrapy_t8.utils.threads import NoAnswer

from .database import BoundedDatabase, named
from .key_counter import KeyCounter
from .record_checks import Finding, finding_of, wrong_count

EXAMPLES = 20
"""Keys that are named, of those with the same problem."""
ASKED_AGAIN = 1000
"""Missing keys that are looked for once more, at the most."""

Items = dict[str, Any]
"""``expected``, ``there``, ``unique``, ``invalid``, ``duplicates``, ``duplicate_keys``, ``missing``, ``missing_keys``,
``unexpected``, as in :meth:`ResumeValidator.validate`."""


def integrity_score(unique_valid: int, expected: int) -> float | None:
    """The part of the expected items that are there, once and valid; None if nothing is expected.

    ``unique valid items / expected items``, at least 0 and at most 1.
    """
    return max(0.0, min(1.0, unique_valid / expected)) if expected > 0 else None


def score_of(items: Mapping[str, Items]) -> float | None:
    """The score of all task types together of which it is known how much there should be."""
    known = [one for one in items.values() if one["expected"]]
    # More of one type than expected does not make up for what another one lacks.
    there = sum(min(one["unique"], one["expected"]) for one in known)
    return integrity_score(there, sum(one["expected"] for one in known))


def told_items(state: CollectionState) -> Items:
    """What the collector itself says of its items."""
    processed = max(0, state.processed_items)
    unique = min(processed, state.total_items) if state.total_items else processed
    return _items(state.total_items, processed, unique)


def no_items(state: CollectionState) -> Items:
    """Of a database that does not answer: what nobody can see is not there."""
    return _items(state.total_items, 0, 0)


def _items(expected: int, there: int, unique: int) -> Items:
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
    """Looks at the items of one task type in the user's database, key by key, in memory that stays small.

    :param is_valid: whether an item of this key counts.
    :param expected_keys: returns an (async) iterable of the keys that should be there; None if nobody knows them.
    """

    def __init__(
        self,
        questions: BoundedDatabase,
        state: CollectionState,
        is_valid: Callable[[str, str], bool],
        expected_keys: Callable[[str], Any],
    ) -> None:
        self._questions = questions
        self._state = state
        self._is_valid = is_valid
        self._expected_keys = expected_keys
        self._there = self._invalid = 0
        self.count: int | None = None
        """What the database has counted."""
        self.wanted: int | None = None
        """How many keys are expected; None if they are not known."""
        self.problems: list[Finding] = []

    async def look(self) -> Items:
        """What there is. What is wrong with it stands in ``problems`` afterwards.

        :raises DatabaseFailed: if the database does not answer.
        """
        tally = KeyCounter()
        try:
            return await self._look(tally)
        finally:
            tally.close()

    async def _look(self, tally: KeyCounter) -> Items:
        task_type = self._state.task_type
        before = self.count = await self._questions.count(task_type)
        await self._questions.keys(task_type, lambda keys: self._take(keys, tally))
        self.count = await self._questions.count(task_type)
        self._compare_counts(before, self.count)
        expected, unique, missing_keys = self._state.total_items, tally.unique, []
        if await self._expect(tally):
            missing_keys = await self._missing(tally)
            expected = self.wanted = tally.expected
            unique = tally.collected
        items = _items(expected, self._there, unique) | {
            "invalid": self._invalid,
            "duplicates": tally.repeated,
            "duplicate_keys": tally.duplicates(EXAMPLES),
            "missing_keys": missing_keys[:EXAMPLES],
            "unexpected": tally.unique - unique,
        }
        self._judge(items)
        return items

    def _take(self, keys: list[str], tally: KeyCounter) -> None:
        valid = [key for key in keys if self._is_valid(self._state.task_type, key)]
        self._there += len(keys)
        self._invalid += len(keys) - len(valid)
        tally.add(valid)

    async def _expect(self, tally: KeyCounter) -> bool:
        try:
            return await self._questions.stream(lambda: self._expected_keys(self._state.task_type), tally.expect)
        except NoAnswer:
            raise DatabaseError("expected_keys gave no key for too long") from None
        except Exception as error:
            raise DatabaseError(f"expected_keys failed: {named(error)}") from error

    async def _missing(self, tally: KeyCounter) -> list[str]:
        # A collector that is at work may have brought some of them meanwhile.
        missing = tally.missing(ASKED_AGAIN)
        come = {key for key in missing if await self._questions.has(self._state.task_type, key)}
        tally.add(come)
        self._there += len(come)
        return [key for key in missing if key not in come]

    def _compare_counts(self, before: int, after: int) -> None:
        if not min(before, after) <= self._there <= max(before, after):
            self._find("contradictory", "", f"count_items says {after}, iter_keys gives {self._there}")
        self.problems += [
            finding_of(self._state.task_type, self._state.run_id, *w) for w in wrong_count(after, self._state)
        ]

    def _judge(self, items: Items) -> None:
        duplicates, invalid, missing = items["duplicates"], items["invalid"], items["missing"]
        if duplicates:
            names = [f"{key} ({times} times)" for key, times in items["duplicate_keys"].items()]
            self._find("duplicate", "key", _told(duplicates, "key is", "keys are", "there more than once", names))
        if invalid:
            self._find("invalid", "key", _told(invalid, "key is", "keys are", "empty or not valid", []))
        asked = self.wanted is not None and self._state.status != "RUNNING"
        if missing and (asked or self._state.status == "FINISHED"):
            self._find("missing", "key", _told(missing, "item is", "items are", "missing", items["missing_keys"]))

    def _find(self, rule: str, name: str, message: str) -> None:
        self.problems.append(finding_of(self._state.task_type, self._state.run_id, rule, name, message))


def _told(count: int, one: str, several: str, what: str, names: list[str]) -> str:
    more = ", ..." if names and count > len(names) else ""
    return f"{count} {one if count == 1 else several} {what}" + (f": {', '.join(names)}{more}" if names else "")
