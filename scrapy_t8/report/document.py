"""The report document, collected from the store. docs/report.md describes its form."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgpack

from scrapy_t8.config import releases
from scrapy_t8.config.causes import FEED, Accepted
from scrapy_t8.core.items import coverage, problems
from scrapy_t8.core.items.ledger import DUPLICATES, duplicates_of
from scrapy_t8.core.items.statistics import OUTCOMES
from scrapy_t8.core.items.tracker import VALIDATION
from scrapy_t8.core.retry.breaker import Health
from scrapy_t8.model.items import FeedBalance, integrity_score
from scrapy_t8.model.job import SKIP, JobRecord, Ledger, Run
from scrapy_t8.stores.reader.reader import Reader
from scrapy_t8.utils.times import moment

from .shortfall.missing import Missing
from .shortfall.without_result import without_result

VERSION = 1
ROWS = 500  # Rows of the timeline, about
HOSTS = CALLBACKS = GROUPS = 200
END = {None: "killed", "died": "killed", "finished": "finished"}
"""How a run ended, by its close reason. A run with any other reason was stopped."""

Document = dict[str, Any]


def collect(
    reader: Reader, job: JobRecord, now: float, generator: str, *, running: bool, accepted: Accepted
) -> Document:
    """Collect all that is known of *job* at *now* (Unix seconds).

    :param running: whether a crawl is using the job.
    :param accepted: the causes for which requests may end without a result.
    """
    stored, waiting, due = reader.sizes()
    missing = Missing(reader, job, accepted)
    ledger = _ledger(job.ledger, missing, stored, waiting, len(reader.backlog.leased()) if running else 0)
    feeds = list(_feeds(reader, job.ledger, accepted))
    _take_off_what_is_nowhere(ledger["items"], feeds, reader)
    document: Document = {
        "version": VERSION,
        "generator": generator,
        "generated": iso(now),
        "releases": _releases(reader),
        "running": running,
        "job": job_row(reader, job),
        "runs": run_rows(reader.runs(), running=running),
        "ledger": ledger,
        **_losses(reader),
        "duplicates": _duplicates(reader, job.ledger),
        "feeds": feeds,
        "totals": missing.totals,
        "missing": missing.to_dict(),
        "without_result": without_result(reader, job, accepted),
        "healing": _healing(reader, job),
        "left": {"count": job.left, "reason": job.left_for},
        "waiting": {"count": waiting, "next_due": iso(due)},
        "dead": dead_rows(reader, job),
        **_tallies(reader, job),
        "coverage": _coverage(reader),
        "validation": _validation(reader, job.ledger, missing),
        "points": [point_row(name, record) for name, record in reader.points()],
        "timeline": [
            {"time": iso(began), "pages": pages, "items": items, "retries": retries}
            for began, pages, items, retries in reader.timeline(ROWS)
        ],
        "unproven": [],
        "alerts": [],
    }
    document["verdict"] = verdict(document)
    document["exit_status"] = exit_status(document)
    return document


def verdict(document: Document) -> str:
    """Return whether everything is there and accounted for: complete, incomplete or unbalanced."""
    ledger = document["ledger"]
    if any(account["difference"] for account in ledger.values()):
        return "unbalanced"
    requests = ledger["requests"]
    left = requests["ready"] + requests["waiting"] + requests["leased"]
    missing = document["missing"]["count"] - document["missing"]["accepted"]
    doubts = left or missing or document["without_result"]["count"] or document["unproven"] or document["job"]["doubt"]
    has_all_bytes = not any(feed["doubts"] for feed in document["feeds"])
    return "complete" if document["job"]["finished"] and not doubts and has_all_bytes else "incomplete"


def exit_status(document: Document) -> int:
    """Return the exit status that ``scrapy crawl`` should have."""
    if document["verdict"] != "complete":
        return 3
    return 4 if document["alerts"] else 0


def iso(seconds: float | None) -> str | None:
    """Return Unix seconds in ISO 8601."""
    return None if seconds is None else moment(seconds).isoformat()


def job_row(reader: Reader, job: JobRecord) -> Document:
    row = {
        name: getattr(job, name)
        for name in ("id", "spider", "arguments", "begun", "finished", "start_done", "follows", "doubt")
    }
    return {**row, "begun": iso(job.begun), "kept_until": iso(_kept_until(reader, job))}


def run_rows(runs: list[Run], *, running: bool) -> list[Document]:
    """Return each run and how it ended."""
    rows = []
    for run in runs:
        is_last = run is runs[-1]
        end = "running" if is_last and running and run.ended is None else END.get(run.reason, "stopped")
        ended = run.ended if run.ended is not None or end == "running" else run.last_commit
        rows.append({"id": run.id, "started": iso(run.started), "ended": iso(ended), "reason": run.reason, "end": end})
    return rows


def request_account(ledger: Ledger, stored: int, waiting: int, leased: int) -> dict[str, int]:
    """Return what became of all requests, and how many are unaccounted for (``difference``)."""
    return {
        "admitted": ledger.admitted,
        "done": ledger.done,
        "ready": stored - leased,
        "waiting": waiting,
        "leased": leased,
        "dead": ledger.dead,
        "discarded": ledger.discarded,
        "difference": ledger.difference(stored + waiting),
    }


def item_account(ledger: Ledger) -> dict[str, int]:
    """Return what became of all items, and how many are unaccounted for (``difference``)."""
    outcomes = ("scraped", "exported", "duplicate", "dropped", "failed")
    return {**{name: getattr(ledger, name) for name in outcomes}, "difference": ledger.item_difference}


def point_row(name: str, record: str) -> Document:
    """Return a stored resume point."""
    point = json.loads(record)
    fields = ("task_type", "current_page", "last_cursor", "last_slug", "total_processed", "last_update")
    return {"name": name, **{field: point.get(field) for field in fields}}


def busiest(column: str, counts: Mapping[str, Mapping[str, int]], *names: str) -> list[Document]:
    """Return a row for each host or callback, the busiest first, with its name in *column* and its *counts*.

    *names* have a row though nothing is counted.
    """
    every = {*names, *(name for column_counts in counts.values() for name in column_counts)}
    rows: list[Document] = [
        {column: name, **{what: column_counts.get(name, 0) for what, column_counts in counts.items()}} for name in every
    ]
    return sorted(rows, key=lambda row: (-row["done"] - row.get("ready", 0) - row.get("waiting", 0), row[column]))


def _ledger(ledger: Ledger, missing: Missing, stored: int, waiting: int, leased: int) -> dict[str, dict[str, int]]:
    return {
        "requests": request_account(ledger, stored, waiting, min(stored, leased)),
        "items": item_account(ledger),
        "expected": {
            "expected": missing.expected,
            "collected": missing.collected,
            "missing": missing.count,
            "difference": missing.expected - missing.collected - missing.count,
        },
    }


def _releases(reader: Reader) -> dict[str, str]:
    """Return the releases that the last run used. A state of an earlier release of scrapy_t8 does not have them."""
    packed = reader.kept(releases.KEPT).get(releases.KEPT)
    return dict(msgpack.unpackb(packed)) if packed else {}


def _kept_until(reader: Reader, job: JobRecord) -> float | None:
    """Return until when the finished *job* is not crawled anew; None if that is possible at any time."""
    packed = reader.kept(SKIP).get(SKIP)
    seconds = msgpack.unpackb(packed) if packed else 0
    return job.ended + seconds if job.finished and seconds else None


def _losses(reader: Reader) -> Document:
    rows: dict[str, list[Document]] = {"dropped": [], "failed": []}
    for loss in reader.losses():
        row = {"pipeline": loss.pipeline, "reason": loss.reason, "count": loss.times, "key": loss.key, "url": loss.url}
        rows[loss.kind].append(row)
    return dict(rows)


def _duplicates(reader: Reader, ledger: Ledger) -> Document:
    examples = [{"key": key, "fields": fields} for key, fields in duplicates_of(reader.kept(DUPLICATES))]
    return {"count": ledger.duplicate, "changed": ledger.changed, "again": ledger.again, "examples": examples}


def _feeds(reader: Reader, ledger: Ledger, accepted: Accepted) -> Iterable[Document]:
    records = reader.feeds()
    spool = FeedBalance.of(records.get("spool"))
    for name, record in records.items():
        kind = name.partition(":")[0]
        if kind in ("feed", "target"):
            items = record.get("total", record["items"]) if kind == "feed" else record.get("items")
            balance = FeedBalance.of(record)
            row = {"uri": record["uri"], "format": record.get("format", ""), "items": items, "bytes": _length(record)}
            lost, missing = balance.lost, balance.missing(ledger.exported)
            if kind == "target":
                lost += spool.lost + spool.lost_batches
                missing += spool.missing(ledger.exported)
            counts = {
                "missing": missing,
                "lost": lost,
                "batches": balance.lost_batches,
                "refused": balance.refused,
                "altered": spool.altered if kind == "target" else 0,
                "foreign": balance.foreign,
            }
            yield {**row, **counts, "doubts": [name for name in _doubts(counts) if name not in accepted]}


def _length(record: Mapping[str, Any]) -> int | None:
    """Return the length of a feed in bytes, if the feed is one local file."""
    if record["batch"] > 1 if "batch" in record else not record.get("path"):
        return None
    with suppress(OSError):
        length = record.get("length")
        return Path(record["path"]).stat().st_size if length is None else int(length)
    return None


def _doubts(feed: Document) -> Iterable[str]:
    """Yield the causes for which a feed does not have exactly the items that were exported."""
    refused = sum(feed["refused"].values())
    unnamed = feed["missing"] - feed["lost"] - feed["batches"] - refused
    counts = {**feed, "refused": refused, "unnamed": unnamed}
    kinds = ("lost", "batches", "refused", "unnamed", "altered", "foreign")
    yield from (f"{FEED}:{what}" for what in kinds if counts[what])


def _gone(feed: Document) -> int:
    """Return how many items were written to a feed and are gone, for no reason that is accepted."""
    return sum(feed[what] for what in ("lost", "batches") if f"{FEED}:{what}" in feed["doubts"])


def _take_off_what_is_nowhere(items: dict[str, int], feeds: list[Document], reader: Reader) -> None:
    """Let no item count as exported that no feed has: items that were lost, and items that no feed has taken."""
    untaken = min(FeedBalance.of(reader.feeds().get("spool")).untaken, items["exported"])
    items["exported"] -= untaken
    items["failed"] += untaken
    # What one feed has lost another one may have.
    lost = min(min(map(_gone, feeds), default=0), items["exported"])
    items["exported"] -= lost
    items["difference"] += lost


def _healing(reader: Reader, job: JobRecord) -> Document:
    asked, collected, impossible = reader.healed(job.number)
    left = asked - collected - impossible
    return {"asked": asked, "collected": collected, "left": left, "impossible": impossible}


def dead_rows(reader: Reader, job: JobRecord, limit: int = GROUPS) -> list[Document]:
    """Return the dead letters by cause, the most frequent first, at most *limit* causes."""
    names = ("kind", "error", "host", "callback", "count")
    return [
        {name: getattr(group, name) for name in names}
        | {"first": iso(group.first), "last": iso(group.last), "letter": group.example}
        for group in reader.dead_groups(job, limit)
    ]


def _tallies(reader: Reader, job: JobRecord) -> Document:
    tallies, health = reader.tallies(), reader.hosts()
    dead: Counter[str] = Counter()
    for host, _, count in reader.dead_by_host_and_callback(job.id):
        dead[host] += count
    of_hosts = {
        "done": tallies.get("host/done", {}),
        "ready": reader.backlog.ready_by_slot(),
        "waiting": reader.backlog.waiting_by_slot(),
        "dead": dead,
        "items": tallies.get("host/items", {}),
        "retries": tallies.get("host/retries", {}),
    }
    hosts = busiest("host", of_hosts, *health)[:HOSTS]
    for row in hosts:
        known = Health.of(health.get(row["host"], {}))
        row["open_since"] = iso(known.since) if known.is_open else None
    of_callbacks = {what: tallies.get(f"callback/{what}", {}) for what in ("done", "dead", "items")}
    outcomes = tallies.get(OUTCOMES, {})
    return {
        "retries": tallies.get("retries", {}),
        "retry_outcomes": {what: outcomes.get(what, 0) for what in ("succeeded", "buried", "not_retried")},
        "hosts": hosts,
        "callbacks": busiest("callback", of_callbacks)[:CALLBACKS],
    }


def _coverage(reader: Reader) -> list[Document]:
    rows = []
    for cls, (count, fields) in sorted(coverage.coverage_of(reader.kept(coverage.KEPT)).items()):
        parts = {name: round(filled / count, 6) for name, filled in sorted(fields.items())} if count else {}
        rows.append({"item": cls, "count": count, "fields": parts})
    return rows


def _validation(reader: Reader, ledger: Ledger, missing: Missing) -> Document:
    refused = sum(loss.times for loss in reader.losses() if loss.pipeline == VALIDATION)
    # Invalid items count as missing. But an invalid item need not be one of the expected.
    good = missing.collected - min(ledger.invalid, missing.collected)
    return {
        "valid": ledger.exported - ledger.invalid,
        "invalid": ledger.invalid + refused,
        "integrity_score": integrity_score(good, missing.expected - missing.accepted),
        "problems": problems.problems_of(reader.kept(problems.KEPT)),
        "custom": {},
    }
