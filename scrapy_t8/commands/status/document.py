"""How far a job is, in numbers: the document of ``scrapy t8 status``. docs/commands.md describes its form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from scrapy_t8.commands.context import JobView
from scrapy_t8.core.retry.breaker import Health
from scrapy_t8.core.retry.failure import PARSE
from scrapy_t8.model.codec import NO_CALLBACK_NAME, Codec
from scrapy_t8.model.job import Run
from scrapy_t8.report.document import (
    busiest,
    dead_rows,
    iso,
    item_account,
    job_row,
    point_row,
    request_account,
    run_rows,
)

VERSION = 1
MOST = 100_000
"""Maximum number of pending requests that are counted by callback without ``--exact``: each must be decoded."""
FAILURES = 5
"""Causes of dead letters that are listed."""
UNKNOWN = "?"  # The callback of a request that only its own spider can read

Document = dict[str, Any]


def counts(view: JobView, directory: Path, now: float, *, exact: bool = False) -> Document:
    """Return everything that the state contains, except items.

    :param now: Unix seconds.
    :param exact: count pending requests by callback, however many there are. That takes about 2 s for a million.
    """
    reader, job = view.reader, view.job
    running, runs = reader.is_running(), reader.runs()
    rows = run_rows(runs, running=running)
    document: Document = {
        "version": VERSION,
        "directory": str(directory),
        "kind": view.kind,
        "generated": iso(now),
        "running": running,
        "state": _state(rows, running=running, finished=job.finished),
        "job": {**job_row(reader, job), "number": job.number},
        "runs": rows,
        "last_run": rows[-1] if rows else None,
        "next_due": iso(reader.sizes()[2]),
        "verdict": None,
        "points": [point_row(name, record) for name, record in reader.points()],
    }
    if view.is_service:
        return document | _tasks(view, running=running)
    return document | {"rate": _rate(view, runs, now, running=running), **_requests(view, exact, running=running)}


def _state(runs: list[Document], *, running: bool, finished: bool) -> str:
    """Return running, finished, how the last run ended, or open: the job had finished, and there is work again."""
    if running or finished:
        return "running" if running else "finished"
    end = str(runs[-1]["end"]) if runs else "stopped"
    return "open" if end == "finished" else end


def _rate(view: JobView, runs: list[Run], now: float, *, running: bool) -> Document:
    seconds, pages, items = 0.0, 0, 0
    if runs:
        run = runs[-1]
        end = now if running and run.ended is None else run.ended or run.last_commit or run.started
        seconds = max(0.0, end - run.started)
        pages, items = view.reader.since(run.started)
    return {
        "seconds": round(seconds, 3),
        "pages": pages,
        "items": items,
        "pages_per_minute": round(pages * 60 / seconds, 1) if seconds else None,
        "items_per_minute": round(items * 60 / seconds, 1) if seconds else None,
    }


def _requests(view: JobView, exact: bool, *, running: bool) -> Document:
    reader, backlog = view.reader, view.reader.backlog
    stored, waiting, _ = reader.sizes()
    exact = exact or stored + waiting <= MOST
    leased = backlog.leased() if running else []
    dead = reader.dead_by_host_and_callback(view.job.id)
    by_host: dict[str, Mapping[str, int]] = {
        "ready": backlog.ready_by_slot(),
        "waiting": backlog.waiting_by_slot(),
        "leased": Counter(slot for slot, _ in leased),
        "dead": _sums((host, count) for host, _, count in dead),
    }
    by_callback: dict[str, Mapping[str, int]] = {
        "ready": _callbacks(backlog.ready()) if exact else {},
        "waiting": _callbacks(backlog.waiting()) if exact else {},
        "leased": _callbacks(payload for _, payload in leased),
        "dead": _sums((callback, count) for _, callback, count in dead),
    }
    callbacks = _rows(view, "callback", by_callback)
    return {
        "requests": request_account(view.job.ledger, stored, waiting, len(leased)),
        "items": item_account(view.job.ledger),
        "hosts": _rows(view, "host", by_host),
        "callbacks": callbacks if exact else [{**row, "ready": None, "waiting": None} for row in callbacks],
        "callbacks_exact": exact,
        "failures": dead_rows(reader, view.job, FAILURES),
        "hosts_down": list(_hosts_down(reader.hosts())),
        "dead_letters": reader.box.count(),
    }


def _hosts_down(hosts: Mapping[str, Mapping[str, Any]]) -> Iterator[Document]:
    for host, record in sorted(hosts.items()):
        health = Health(**record)
        if health.is_open:
            yield {
                "host": host,
                "since": iso(health.since),
                "next_probe": None if health.is_given_up else iso(health.probe_at),
                "given_up": health.is_given_up,
            }


def _rows(view: JobView, column: str, counts: dict[str, Mapping[str, int]]) -> list[Document]:
    """Return *counts* as rows, with the tallies of the job. Among the ready requests, the leased ones do not count."""
    tallies = {what: view.reader.tallies().get(f"{column}/{what}", {}) for what in ("done", "items")}
    return busiest(column, {**counts, "ready": _less(counts["ready"], counts["leased"]), **tallies})


def _callbacks(payloads: Iterable[bytes]) -> Counter[str]:
    """Count stored requests by callback."""
    names = map(Codec().callback_name, payloads)
    shown = {None: UNKNOWN, "": PARSE, NO_CALLBACK_NAME: NO_CALLBACK_NAME.lstrip("!")}
    return Counter(shown.get(name, name or "") for name in names)


def _less(counts: Mapping[str, int], others: Mapping[str, int]) -> dict[str, int]:
    return {name: max(0, count - others.get(name, 0)) for name, count in counts.items()}


def _sums(parts: Iterable[tuple[str, int]]) -> Counter[str]:
    sums: Counter[str] = Counter()
    for name, count in parts:
        sums[name] += count
    return sums


def _tasks(view: JobView, *, running: bool) -> Document:
    reader = view.reader
    leased = reader.backlog.leased_tasks() if running else {}
    by_type: dict[str, Mapping[str, int]] = {
        "waiting": _less(reader.backlog.waiting_by_slot(), leased),
        "leased": leased,
        "dead": reader.dead_tasks(),
    }
    names = sorted({name for counted in by_type.values() for name in counted})
    waiting = reader.sizes()[1]
    tasks = request_account(view.job.ledger, 0, waiting, 0)
    del tasks["ready"]
    return {
        "tasks": {**tasks, "waiting": waiting - sum(leased.values()), "leased": sum(leased.values())},
        "task_types": [{"task_type": n, **{what: c.get(n, 0) for what, c in by_type.items()}} for n in names],
        "collections": [
            {**run.state().to_dict(), "resume_points": None, "failed_tasks": None}
            for run in view.stored_runs().values()
        ],
    }
