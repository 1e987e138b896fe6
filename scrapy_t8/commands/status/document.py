"""How far a job is, in numbers: what ``scrapy t8 status`` shows. Its form is that of docs/commands.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scrapy_t8.commands.context import JobView
from scrapy_t8.commands.job_view import stored_runs
from scrapy_t8.core.retry.failure import PARSE
from scrapy_t8.model.codec import NO_CALLBACK_NAME, Codec
from scrapy_t8.model.job import Run
from scrapy_t8.report.document import point_told, runs_told
from scrapy_t8.report.document import time as iso
from scrapy_t8.stores.reader.backlog import SampledRequest

VERSION = 1
EXACT = 100_000
"""Stored requests up to which all are counted by callback; of more, a part is."""
PART = 10_000
UNKNOWN = "?"
"""The callback of a request that only its own spider can read."""
STATES = ("ready", "waiting", "leased", "dead", "done")

Document = dict[str, Any]


def counts(look: JobView, directory: Path, now: float, *, exact: bool = False) -> Document:
    """All that the state tells without reading items.

    :param now: Unix seconds.
    :param exact: count by callback whatever that takes: about a second for a million.
    """
    reader, job = look.reader, look.job
    running = reader.is_running()
    runs = reader.runs()
    of_service = look.of_service
    told = runs_told(runs, running=running)
    document: Document = {
        "version": VERSION,
        "directory": str(directory),
        "kind": "service" if of_service else "crawl",
        "generated": iso(now),
        "running": running,
        "state": _state(look, told, running=running),
        "job": {
            "id": job.id,
            "spider": job.spider,
            "arguments": job.arguments,
            "begun": iso(job.begun),
            "finished": job.finished,
            "follows": job.follows,
            "number": job.number,
        },
        "runs": told,
        "last_run": told[-1] if told else None,
    }
    if of_service:
        return document | _tasks(look, running=running)
    return document | {"rate": _rate(look, runs, now, running=running), **_requests(look, exact, running=running)}


def _state(look: JobView, runs: list[Document], *, running: bool) -> str:
    """In a word: running, finished, or how the last run has ended; open, if it had finished and there is work again."""
    if running or look.job.finished:
        return "running" if running else "finished"
    end = str(runs[-1]["end"]) if runs else "stopped"
    return "open" if end == "finished" else end


def _rate(look: JobView, runs: list[Run], now: float, *, running: bool) -> Document:
    if not runs:
        return {"seconds": 0.0, "pages": 0, "items": 0, "pages_per_minute": None, "items_per_minute": None}
    run = runs[-1]
    end = now if running and run.ended is None else run.ended or run.last_commit or run.started
    pages, items = look.reader.since(run.started)
    seconds = max(0.0, end - run.started)
    per_minute = [round(count * 60 / seconds, 1) if seconds else None for count in (pages, items)]
    return {
        "seconds": round(seconds, 3),
        "pages": pages,
        "items": items,
        "pages_per_minute": per_minute[0],
        "items_per_minute": per_minute[1],
    }


# -- of a crawl --------------------------------------------------------------------------------------------------


def _requests(look: JobView, exact: bool, *, running: bool) -> Document:
    reader, books = look.reader, look.job.ledger
    stored, waiting, due = reader.sizes()
    away = reader.pending.leased() if running else []
    is_exact = exact or stored + waiting <= EXACT
    return {
        "requests": {
            "admitted": books.admitted,
            "done": books.done,
            "ready": stored - len(away),
            "waiting": waiting,
            "leased": len(away),
            "dead": books.dead,
            "discarded": books.discarded,
            "difference": books.difference(stored + waiting),
        },
        "items": {
            **{name: getattr(books, name) for name in ("scraped", "exported", "duplicate", "dropped", "failed")},
            "difference": books.item_difference,
        },
        "next_due": iso(due),
        **_by_host_and_callback(look, away, None if is_exact else PART),
        "callbacks_exact": is_exact,
        "dead_letters": reader.box.count(),
        "points": [point_told(name, record) for name, record in reader.points()],
    }


def _by_host_and_callback(look: JobView, away: list[tuple[str, bytes]], most: int | None) -> Document:
    reader, codec = look.reader, Codec()
    dead = reader.dead_by_host_and_callback(look.job.id)
    tally: dict[str, dict[str, int]] = {}
    for what, name, count in reader.tally():
        tally.setdefault(what, {})[name] = count
    limit = 1 << 62 if most is None else most
    hosts = {
        "ready": _less(reader.pending.ready_by_slot(), Counter(slot for slot, _ in away)),
        "waiting": reader.pending.waiting_by_slot(),
        "leased": Counter(slot for slot, _ in away),
        "dead": _sums((host, count) for host, _, count in dead),
        "done": tally.get("host/done", {}),
        "items": tally.get("host/items", {}),
    }
    leased = Counter(_callback(codec, payload) for _, payload in away)
    callbacks = {
        "ready": _less(_counted(codec, reader.pending.ready(limit)), leased),
        "waiting": _counted(codec, reader.pending.waiting(limit)),
        "leased": leased,
        "dead": _sums((callback, count) for _, callback, count in dead),
        "done": tally.get("callback/done", {}),
        "items": tally.get("callback/items", {}),
    }
    return {"hosts": _rows("host", hosts), "callbacks": _rows("callback", callbacks)}


def _callback(codec: Codec, payload: bytes) -> str:
    name = codec.callback_name(payload)
    if name is None:
        return UNKNOWN
    return name.lstrip("!") if name == NO_CALLBACK_NAME else name or PARSE


def _counted(codec: Codec, shares: Iterable[SampledRequest]) -> dict[str, int]:
    """How many there are of each callback. The numbers add up to what all shares stand for."""
    weights: Counter[str] = Counter()
    for share in shares:
        weights[_callback(codec, share.payload)] += share.weight  # type: ignore[assignment]
    counts = {name: int(weight) for name, weight in weights.items()}
    left = round(sum(weights.values())) - sum(counts.values())
    for name in sorted(weights, key=lambda name: counts[name] - weights[name])[:left]:
        counts[name] += 1
    return counts


def _less(counts: dict[str, int], others: Counter[str]) -> dict[str, int]:
    return {name: max(0, count - others[name]) for name, count in counts.items()}


def _sums(parts: Iterable[tuple[str, int]]) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for name, count in parts:
        sums[name] += count
    return sums


def _rows(column: str, counts: dict[str, dict[str, int]]) -> list[Document]:
    """A row for each name, the busiest first."""
    names = {name for of_state in counts.values() for name in of_state}
    rows: list[Document] = [
        {column: name, **{what: of_state.get(name, 0) for what, of_state in counts.items()}} for name in names
    ]
    return sorted(rows, key=lambda row: (-row["done"] - row["ready"] - row["waiting"], row[column]))


# -- of a service ------------------------------------------------------------------------------------------------


def _tasks(look: JobView, *, running: bool) -> Document:
    reader, books = look.reader, look.job.ledger
    _, waiting, due = reader.sizes()
    leased = reader.pending.leased_tasks() if running else {}
    by_type = {
        "waiting": _less(reader.pending.waiting_by_slot(), Counter(leased)),
        "leased": leased,
        "dead": reader.dead_tasks(),
    }
    names = sorted({name for counted in by_type.values() for name in counted})
    return {
        "tasks": {
            "admitted": books.admitted,
            "done": books.done,
            "waiting": waiting - sum(leased.values()),
            "leased": sum(leased.values()),
            "dead": books.dead,
            "discarded": books.discarded,
            "difference": books.difference(waiting),
        },
        "next_due": iso(due),
        "task_types": [{"task_type": n, **{what: c.get(n, 0) for what, c in by_type.items()}} for n in names],
        "collections": [
            {**run.state().to_dict(), "resume_points": None, "failed_tasks": None} for run in stored_runs(look).values()
        ],
        "points": [point_told(name, record) for name, record in reader.points()],
    }
