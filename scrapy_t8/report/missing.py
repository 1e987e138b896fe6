"""What is missing, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from sys import intern
from typing import Any

from scrapy_t8.core.items.expectations import DEAD, DISCARDED, META, NO_ITEM
from scrapy_t8.core.items.keys import shown
from scrapy_t8.model.attempts import AttemptHistory
from scrapy_t8.model.codec import Codec
from scrapy_t8.model.job import JobRecord
from scrapy_t8.stores.reader.reader import MissingItem, Reader
from scrapy_t8.utils.times import moment

NOT_FETCHED, WAITING, NEVER_LINKED, UNNAMED = "not_fetched", "waiting", "never_linked", "unnamed"
EXAMPLES = 20
"""Of each cause."""
CAUSES = 500
"""Causes that are told apart."""
OTHERS = "(others)"

Cause = tuple[str, str]


class Missing:
    """What *job* was to bring and has not brought: ``expected == collected + count``."""

    def __init__(self, reader: Reader, job: JobRecord) -> None:
        self._reader = reader
        self._announced = reader.announced()
        by_sources = reader.by_sources(job.number)
        named = sum(count for _, count, _ in by_sources)
        self._counts: Counter[Cause] = Counter()
        self._examples: dict[Cause, list[dict[str, Any]]] = {}
        self._waiting: dict[str, tuple[int, str]] | None = None
        self._codec = Codec()
        for missed in reader.missing(job.number):
            self._add(missed)
        self.named = self._counts.total()
        self.totals = self._totals(by_sources, job.ledger.exported)
        self.unnamed = sum(count for (cause, _), count in self._counts.items() if cause == UNNAMED)
        self.count = self.named + self.unnamed
        collected = sum(collected for _, _, collected in by_sources)
        self.collected = collected + self._collected_by_number
        self.expected = named + self.unnamed + self._collected_by_number

    def told(self) -> dict[str, Any]:
        """The part of the report."""
        ranked = sorted(self._counts.items(), key=lambda pair: (-pair[1], pair[0]))
        return {
            "count": self.count,
            "unnamed": self.unnamed,
            "causes": [
                {"cause": cause, "detail": detail, "count": count, "examples": self._examples[cause, detail]}
                for (cause, detail), count in ranked
            ],
        }

    # -- by key --------------------------------------------------------------------------------------------------

    def _add(self, missed: MissingItem) -> None:
        (cause, detail), entry, facts = self._why(missed)
        if (cause, detail) not in self._counts and len(self._counts) >= CAUSES:
            detail = OTHERS
        self._counts[cause, detail] += 1
        examples = self._examples.setdefault((cause, detail), [])
        if len(examples) < EXAMPLES:
            facts = facts if entry is None else self._wait_of(entry)
            examples.append({"key": missed.text, "sources": missed.sources.split("\n"), **facts})

    def _why(self, missed: MissingItem) -> tuple[Cause, int | None, dict[str, Any]]:
        """The cause; the entry that waits for it, if one does; what an example says besides."""
        kind, _, what = (missed.cause or "").partition("\t")
        if missed.open > 0:
            waits = self._waits(missed)
            if waits is not None:
                return (WAITING, waits[1]), waits[0], {}
            letter = self._reader.letter(missed.request) if kind == DEAD and missed.request is not None else None
            if letter is not None:
                number, kind, error, status, url = letter
                return (
                    (DEAD, f"{kind}: {error}"),
                    None,
                    {"url": url, "letter": number, "error": error, "status": status},
                )
            return (NOT_FETCHED, ""), None, {}
        if kind == DISCARDED:
            return (DISCARDED, ""), None, {"url": missed.url}
        if kind:
            return (kind, what), None, {"url": missed.url}
        return (NEVER_LINKED, ""), None, {}

    def _waits(self, missed: MissingItem) -> tuple[int, str] | None:
        """The entry that waits for an item, and the kind of its last failure."""
        if self._waiting is None:
            self._waiting = dict(self._all_waiting())
        return self._waiting.get(missed.text)

    def _all_waiting(self) -> Iterator[tuple[str, tuple[int, str]]]:
        # There may be as many as there are items: no more of each than must be.
        for entry, payload, story in self._reader.waiting():
            told = self._codec.envelope(payload)[1].get(META)
            if isinstance(told, dict) and "key" in told:
                yield shown(str(told["key"])), (entry, intern(_last(story)[0]))

    def _wait_of(self, entry: int) -> dict[str, Any]:
        due, payload, story = self._reader.one_waiting(entry)
        return {
            "url": self._codec.envelope(payload)[0],
            "until": moment(due).isoformat(),
            "error": _last(story)[1],
        }

    # -- by number -----------------------------------------------------------------------------------------------

    def _totals(self, by_sources: list[tuple[str, int, int]], exported: int) -> list[dict[str, Any]]:
        """Each source with what it has announced; what the keys do not come up to is missing without a name."""
        keys: Counter[str] = Counter()
        collected: Counter[str] = Counter()
        for sources, count, had in by_sources:
            for source in sources.split("\n"):
                keys[source] += count
                collected[source] += had
        had_by_number = {source: total for source, total in self._announced.items() if not keys[source]}
        left = max(0, exported - sum(had for _, _, had in by_sources)) if keys else exported
        self._collected_by_number = min(left, sum(had_by_number.values()))
        rows = []
        for source in sorted({*keys, *self._announced}):
            announced = self._announced.get(source)
            if source in had_by_number:
                had = min(left, had_by_number[source])
                left -= had
                unnamed = had_by_number[source] - had
            else:
                had, unnamed = collected[source], max(0, (announced or 0) - keys[source])
            if unnamed:
                self._counts[UNNAMED, source] = unnamed
                self._examples[UNNAMED, source] = [{"source": source}]
            rows.append(
                {
                    "source": source,
                    "announced": announced,
                    "keys": keys[source],
                    "collected": had,
                    "missing": keys[source] - collected[source] + unnamed,
                }
            )
        return rows


def _last(story: str) -> tuple[str, str]:
    """Kind and error of the last failure."""
    attempts = AttemptHistory.loads(story).attempts
    return attempts[-1][1:] if attempts else ("", "")


__all__ = ["DEAD", "DISCARDED", "NEVER_LINKED", "NOT_FETCHED", "NO_ITEM", "UNNAMED", "WAITING", "Missing"]
