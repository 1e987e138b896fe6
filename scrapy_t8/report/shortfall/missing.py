"""Which expected items are missing, and why."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from sys import intern
from typing import Any

from scrapy_t8.config.causes import LEFT, Accepted, cause_of_failure
from scrapy_t8.core.items.expectations import DEAD, DISCARDED, META
from scrapy_t8.core.items.keys import shown
from scrapy_t8.model.attempts import AttemptHistory
from scrapy_t8.model.codec import Codec
from scrapy_t8.model.job import JobRecord
from scrapy_t8.stores.reader.reader import MissingItem, Reader
from scrapy_t8.utils.times import moment

NOT_FETCHED, WAITING, NEVER_LINKED, UNNAMED = "not_fetched", "waiting", "never_linked", "unnamed"
EXAMPLES = 20  # Examples of one cause
CAUSES = 500  # Causes with a detail of their own. The details of others are counted together
OTHERS = "(others)"

Cause = tuple[str, str, bool]  # A cause, its detail, and whether the user accepts it


class Missing:
    """The items that *job* expected and did not collect: ``expected == collected + count``.

    :param accepted: the causes for which the request of an item may end without a result.
    """

    def __init__(self, reader: Reader, job: JobRecord, accepted: Accepted) -> None:
        self._reader = reader
        self._is_accepted = accepted.names
        self._left_for = job.left_for
        self._announced = reader.announced()
        by_sources = reader.by_sources(job.number)
        named = sum(count for _, count, _ in by_sources)
        self._counts: Counter[Cause] = Counter()
        self._examples: dict[Cause, list[dict[str, Any]]] = {}
        self._codec = Codec()
        for item in reader.missing(job.number):
            self._add(item)
        missing_by_key = self._counts.total()
        self.totals, collected_by_number = self._totals(by_sources, job.ledger.exported)
        self.unnamed = sum(count for (cause, _, _), count in self._counts.items() if cause == UNNAMED)
        self.accepted = sum(count for (_, _, is_accepted), count in self._counts.items() if is_accepted)
        self.count = missing_by_key + self.unnamed
        self.collected = sum(collected for _, _, collected in by_sources) + collected_by_number
        self.expected = named + self.unnamed + collected_by_number

    def to_dict(self) -> dict[str, Any]:
        """Return this part of the report."""
        ranked = sorted(self._counts.items(), key=lambda pair: (-pair[1], pair[0]))
        return {
            "count": self.count,
            "unnamed": self.unnamed,
            "accepted": self.accepted,
            "causes": [
                dict(zip(("cause", "detail", "accepted"), why, strict=True))
                | {"count": count, "examples": self._examples[why]}
                for why, count in ranked
            ],
        }

    def _add(self, item: MissingItem) -> None:
        why, entry, facts = self._why(item)
        if why not in self._counts and len(self._counts) >= CAUSES:
            why = (why[0], OTHERS, why[2])
        self._counts[why] += 1
        examples = self._examples.setdefault(why, [])
        if len(examples) < EXAMPLES:
            facts = facts if entry is None else self._retry_facts(entry)
            examples.append({"key": item.text, "sources": item.sources.split("\n"), **facts})

    def _why(self, item: MissingItem) -> tuple[Cause, int | None, dict[str, Any]]:
        """Return the cause, the entry that waits to bring the item (if any), and more facts for an example."""
        kind, _, detail = (item.cause or "").partition("\t")
        if item.open <= 0:
            is_accepted = kind == DISCARDED and self._is_accepted(detail)
            return (kind or NEVER_LINKED, detail, is_accepted), None, {"url": item.url} if kind else {}
        if retry := self._retries.get(item.text):
            return (WAITING, retry[1], False), retry[0], {}
        letter = self._reader.letter(item.request) if kind == DEAD and item.request is not None else None
        if letter is None:
            why = (LEFT, self._left_for, True) if self._left_for else (NOT_FETCHED, "", False)
            return why, None, {}
        number, kind, error, status, url = letter
        why = (DEAD, f"{kind}: {error}", self._is_accepted(cause_of_failure(kind, status)))
        return why, None, {"url": url, "letter": number, "error": error, "status": status}

    @cached_property
    def _retries(self) -> dict[str, tuple[int, str]]:
        """By item, the entry that waits to bring the item, and the kind of its last failure."""
        # There may be as many retries as there are items, so as little as possible is held of each.
        found = {}
        for entry, payload, story in self._reader.waiting():
            expected = self._codec.envelope(payload)[1].get(META)
            if isinstance(expected, dict) and "key" in expected:
                found[shown(str(expected["key"]))] = entry, intern(_last_failure(story)[0])
        return found

    def _retry_facts(self, entry: int) -> dict[str, Any]:
        due, payload, story = self._reader.one_waiting(entry)
        url, error = self._codec.envelope(payload)[0], _last_failure(story)[1]
        return {"url": url, "until": moment(due).isoformat(), "error": error}

    def _totals(self, by_sources: list[tuple[str, int, int]], exported: int) -> tuple[list[dict[str, Any]], int]:
        """Return what each source announced, and how many items of sources without keys are there.

        What a source announced beyond the number of its keys is missing without a name.
        """
        keys: Counter[str] = Counter()
        collected: Counter[str] = Counter()
        for sources, count, there in by_sources:
            for source in sources.split("\n"):
                keys[source] += count
                collected[source] += there
        totals_only = {source: total for source, total in self._announced.items() if not keys[source]}
        left = max(0, exported - sum(there for _, _, there in by_sources)) if keys else exported
        collected_by_number = min(left, sum(totals_only.values()))
        rows = []
        for source in sorted({*keys, *self._announced}):
            announced = self._announced.get(source)
            if source in totals_only:
                there = min(left, totals_only[source])
                left -= there
                unnamed = totals_only[source] - there
            else:
                there, unnamed = collected[source], max(0, (announced or 0) - keys[source])
            if unnamed:
                self._counts[UNNAMED, source, False] = unnamed
                self._examples[UNNAMED, source, False] = [{"source": source}]
            row = {"source": source, "announced": announced, "keys": keys[source], "collected": there}
            rows.append({**row, "missing": keys[source] - collected[source] + unnamed})
        return rows, collected_by_number


def _last_failure(story: str) -> tuple[str, str]:
    """Return kind and error of the last failure."""
    attempts = AttemptHistory.loads(story).attempts
    return attempts[-1][1:] if attempts else ("", "")
