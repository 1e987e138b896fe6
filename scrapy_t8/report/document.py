"""The report document, from what the store says. Its form is that of docs/report.md."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from scrapy_t8.core.items.coverage import coverage_of
from scrapy_t8.core.items.ledger import DUPLICATES, duplicates_of
from scrapy_t8.core.items.problems import problems_of
from scrapy_t8.core.items.statistics import OUTCOMES
from scrapy_t8.model.job import JobRecord, Run
from scrapy_t8.stores.reader.reader import Reader
from scrapy_t8.utils.times import moment
from scrapy_t8.validation.item_audit import integrity_score

from .missing import Missing

VERSION = 1
ROWS = 500
"""Rows of the timeline, roughly."""
HOSTS = CALLBACKS = GROUPS = 200
END = {None: "killed", "died": "killed", "finished": "finished"}
"""How a run has ended, by the reason of its end; by any other, it was stopped."""
BREAKER_OPEN = "interval"
VALIDATION = "T8ValidationPipeline"

Document = dict[str, Any]


def collect(reader: Reader, job: JobRecord, now: float, generator: str, *, running: bool) -> Document:
    """All that is known of *job*.

    :param now: Unix seconds.
    :param running: whether a crawl is using it.
    """
    stored, waiting, due = reader.sizes()
    missing = Missing(reader, job)
    ledger = _ledger(job, reader, missing, stored, waiting, running=running)
    document: Document = {
        "version": VERSION,
        "generator": generator,
        "generated": time(now),
        "running": running,
        "job": {
            "id": job.id,
            "spider": job.spider,
            "arguments": job.arguments,
            "begun": time(job.begun),
            "finished": job.finished,
            "follows": job.follows,
        },
        "runs": runs_told(reader.runs(), running=running),
        "ledger": ledger,
        **_losses(reader),
        "duplicates": {
            "count": job.ledger.duplicate,
            "changed": job.ledger.changed,
            "again": job.ledger.again,
            "examples": [{"key": key, "fields": fields} for key, fields in duplicates_of(reader.kept(DUPLICATES))],
        },
        "feeds": list(_feeds(reader)),
        "totals": missing.totals,
        "missing": missing.told(),
        "healing": _healing(reader, job),
        "waiting": {"count": waiting, "next_due": time(due)},
        "dead": [
            {
                **{name: value for name, value in asdict(group).items() if name != "example"},
                "first": time(group.first),
                "last": time(group.last),
                "letter": group.example,
            }
            for group in reader.dead_groups(job, GROUPS)
        ],
        **_tallies(reader, job),
        "coverage": _coverage(reader),
        "validation": _validation(reader, job, ledger),
        "points": [point_told(name, record) for name, record in reader.points()],
        "timeline": [
            {"time": time(began), "pages": pages, "items": items, "retries": retries}
            for began, pages, items, retries in reader.timeline(ROWS)
        ],
        "alerts": [],
    }
    document["verdict"] = verdict(document)
    document["exit_status"] = exit_status(document)
    return document


def verdict(document: Document) -> str:
    """Whether all is there and accounted for."""
    ledger = document["ledger"]
    if any(books["difference"] for books in ledger.values()):
        return "unbalanced"
    requests = ledger["requests"]
    left = requests["ready"] + requests["waiting"] + requests["leased"] + requests["dead"]
    is_complete = document["job"]["finished"] and not left and not document["missing"]["count"]
    return "complete" if is_complete else "incomplete"


def exit_status(document: Document) -> int:
    """With what ``scrapy crawl`` is to end."""
    if document["verdict"] != "complete":
        return 3
    return 4 if document["alerts"] else 0


def time(seconds: float | None) -> str | None:
    """Unix seconds in ISO 8601."""
    return None if seconds is None else moment(seconds).isoformat()


# -- parts -------------------------------------------------------------------------------------------------------


def _ledger(
    job: JobRecord, reader: Reader, missing: Missing, stored: int, waiting: int, *, running: bool
) -> dict[str, dict[str, int]]:
    books = job.ledger
    leased = min(stored, reader.in_flight()) if running else 0
    return {
        "requests": {
            "admitted": books.admitted,
            "done": books.done,
            "ready": stored - leased,
            "waiting": waiting,
            "leased": leased,
            "dead": books.dead,
            "discarded": books.discarded,
            "difference": books.difference(stored + waiting),
        },
        "items": {
            **{name: getattr(books, name) for name in ("scraped", "exported", "duplicate", "dropped", "failed")},
            "difference": books.item_difference,
        },
        "expected": {
            "expected": missing.expected,
            "collected": missing.collected,
            "missing": missing.count,
            "difference": missing.expected - missing.collected - missing.count,
        },
    }


def runs_told(runs: list[Run], *, running: bool) -> list[Document]:
    """Each run and how it has ended."""
    told = []
    for run in runs:
        is_last = run is runs[-1]
        end = "running" if is_last and running and run.ended is None else END.get(run.reason, "stopped")
        ended = run.ended if run.ended is not None or end == "running" else run.last_commit
        told.append(
            {"id": run.id, "started": time(run.started), "ended": time(ended), "reason": run.reason, "end": end}
        )
    return told


def _losses(reader: Reader) -> Document:
    rows: dict[str, list[Document]] = {"dropped": [], "failed": []}
    for loss in reader.losses():
        row = {"pipeline": loss.pipeline, "reason": loss.reason, "count": loss.times, "key": loss.key, "url": loss.url}
        rows[loss.kind].append(row)
    return dict(rows)


def _feeds(reader: Reader) -> Iterable[Document]:
    for name, record in reader.feeds().items():
        kind = name.partition(":")[0]
        if kind == "feed":
            yield {
                "uri": record["uri"],
                "format": record.get("format", ""),
                "items": record.get("total", record["items"]),
            }
        elif kind == "target":
            yield {"uri": record["uri"], "format": record.get("format", ""), "items": record.get("items")}


def _healing(reader: Reader, job: JobRecord) -> Document:
    asked, collected, impossible = reader.healed(job.number)
    left = asked - collected - impossible
    return {"asked": asked, "collected": collected, "left": left, "impossible": impossible}


def _tallies(reader: Reader, job: JobRecord) -> Document:
    tally: dict[str, dict[str, int]] = {}
    for what, name, count in reader.tally():
        tally.setdefault(what, {})[name] = count
    now, health = reader.by_host(job.id), reader.hosts()
    rows: dict[str, dict[str, int]] = {
        "done": tally.get("host/done", {}),
        "ready": now["ready"],
        "waiting": now["waiting"],
        "dead": now["dead"],
        "items": tally.get("host/items", {}),
        "retries": tally.get("host/retries", {}),
    }
    hosts: list[Document] = [
        {
            "host": host,
            **{what: counts.get(host, 0) for what, counts in rows.items()},
            "open_since": time(health[host]["since"]) if health.get(host, {}).get(BREAKER_OPEN) else None,
        }
        for host in {*health, *(name for counts in rows.values() for name in counts)}
    ]
    of_callbacks = {what: tally.get(f"callback/{what}", {}) for what in ("done", "dead", "items")}
    callbacks: list[Document] = [
        {"callback": name, **{what: counts.get(name, 0) for what, counts in of_callbacks.items()}}
        for name in {name for counts in of_callbacks.values() for name in counts}
    ]
    outcomes = tally.get(OUTCOMES, {})
    return {
        "retries": tally.get("retries", {}),
        "retry_outcomes": {what: outcomes.get(what, 0) for what in ("succeeded", "buried")},
        "hosts": sorted(hosts, key=lambda row: (-row["done"], row["host"]))[:HOSTS],
        "callbacks": sorted(callbacks, key=lambda row: (-row["done"], row["callback"]))[:CALLBACKS],
    }


def _coverage(reader: Reader) -> list[Document]:
    counts = coverage_of(reader.kept("coverage"))
    return [
        {
            "item": cls,
            "count": count,
            "fields": {name: round(filled / count, 6) for name, filled in sorted(fields.items())} if count else {},
        }
        for cls, (count, fields) in sorted(counts.items())
    ]


def _validation(reader: Reader, job: JobRecord, ledger: dict[str, dict[str, int]]) -> Document:
    valid = job.ledger.exported - job.ledger.invalid
    refused = sum(loss.times for loss in reader.losses() if loss.pipeline == VALIDATION)
    expected = ledger["expected"]
    # What is invalid counts as missing; what was expected need not be all that is there.
    good = expected["collected"] - min(job.ledger.invalid, expected["collected"])
    return {
        "valid": valid,
        "invalid": job.ledger.invalid + refused,
        "integrity_score": integrity_score(good, expected["expected"]),
        "problems": problems_of(reader.kept("problems")),
        "custom": {},
    }


def point_told(name: str, record: str) -> Document:
    """A stored resume point."""
    told = json.loads(record)
    fields = ("task_type", "current_page", "last_cursor", "last_slug", "total_processed", "last_update")
    return {"name": name, **{field: told.get(field) for field in fields}}
