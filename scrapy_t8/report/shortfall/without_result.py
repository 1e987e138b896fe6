"""Which requests ended without a result, and why: the causes, and whether the user accepts them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import msgpack

from scrapy_t8.config.causes import (
    DEPTH,
    DUPLICATE,
    OFFSITE,
    ROBOTS,
    UNKNOWN,
    URL_LENGTH,
    Accepted,
    cause_of_failure,
)
from scrapy_t8.core.frontier.endings import BESIDES, EXAMPLES, KEPT, REQUESTS, examples_of
from scrapy_t8.model.job import JobRecord
from scrapy_t8.stores.reader.reader import Reader

ERRORS = 20
"""Errors of one failure that the report has."""
FILTERED = {
    "dupefilter/filtered": DUPLICATE,
    "offsite/filtered": OFFSITE,
    "robotstxt/forbidden": ROBOTS,
    "depth/request_ignored_count": DEPTH,
    "urllength/request_ignored_count": URL_LENGTH,
}
"""Scrapy's statistics of requests that it leaves out on purpose."""

Document = dict[str, Any]


def without_result(reader: Reader, job: JobRecord, accepted: Accepted) -> Document:
    """Return this part of the report: discarded and dead requests of the ledger, and losses that are not requests."""
    rows = sorted(_rows(reader, job, accepted), key=lambda row: (row["accepted"], -row["count"], row["cause"]))
    return {
        "count": sum(row["count"] for row in rows if not row["accepted"]),
        "accepted": sum(row["count"] for row in rows if row["accepted"]),
        "accept": accepted.patterns,
        "causes": rows,
        "filtered": _filtered(reader),
    }


def _rows(reader: Reader, job: JobRecord, accepted: Accepted) -> Iterator[Document]:
    tallies, examples = reader.tallies(), examples_of(reader.kept(KEPT))
    counts = Counter(tallies.get(REQUESTS, {}))
    counts[UNKNOWN] += max(0, job.ledger.discarded - counts.total())
    counts.update(tallies.get(BESIDES, {}))
    dead: Counter[str] = Counter()
    errors: defaultdict[str, list[Document]] = defaultdict(list)
    for kind, status, count in reader.dead_by_failure(job.id):
        cause = cause_of_failure(kind, status)
        dead[cause] += count
        for error, callback, times in reader.dead_errors(job.id, kind, status, ERRORS):
            errors[cause].append({"error": error, "callback": callback, "count": times})
        shown = examples.setdefault(cause, [])
        shown += map(list, reader.dead_examples(job.id, kind, status, EXAMPLES - len(shown)))
    for cause in sorted({*counts, *dead}):
        if counts[cause] + dead[cause]:
            yield {
                "cause": cause,
                "count": counts[cause] + dead[cause],
                "dead": dead[cause],
                "accepted": cause in accepted,
                "errors": errors[cause],
                "examples": [
                    {"url": url, "callback": callback, "note": note} for url, callback, note in examples.get(cause, ())
                ],
            }


def _filtered(reader: Reader) -> dict[str, int]:
    """Return how many requests Scrapy has left out on purpose, most of them before they entered the frontier."""
    totals: Counter[str] = Counter()
    for packed in reader.kept_as("totals:").values():
        statistics = msgpack.unpackb(packed)
        totals.update({cause: int(statistics.get(name, 0)) for name, cause in FILTERED.items()})
    return {cause: count for cause, count in totals.items() if count}
