"""``scrapy t8 status``: how far is it?"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from scrapy_t8.commands.console import Terminal
from scrapy_t8.commands.context import CommandContext
from scrapy_t8.commands.failed.filters import count
from scrapy_t8.commands.registry import DIFFERENT, FINE, Command

from .document import STATES, Document, counts

LATEST = 5
"""Runs that are shown."""
ROWS = 20


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--check", action="store_true", help="end with 3 unless the job is finished or running")
    parser.add_argument("--exact", action="store_true", help="count by callback exactly, also beyond 100,000 requests")
    parser.add_argument("--limit", type=count, default=ROWS, metavar="N", help="rows of a table (default: %(default)s)")


def _run(call: CommandContext) -> int:
    with call.looking() as look:
        document = counts(look, call.directory, time.time(), exact=call.options.exact)
    if call.options.json:
        call.screen.json(document)
    else:
        _show(document, call.screen, call.options.limit)
    return DIFFERENT if call.options.check and not _is_well(document) else FINE


def _is_well(document: Document) -> bool:
    if document["kind"] == "crawl" or document["running"]:
        return document["state"] in ("running", "finished")
    tasks = document["tasks"]
    return not tasks["waiting"] and not tasks["dead"]


# -- for people --------------------------------------------------------------------------------------------------


def _show(document: Document, screen: Terminal, limit: int) -> None:
    for line in _lines(document):
        screen.say(line)
    runs = document["runs"][-LATEST:]
    screen.table(
        f"Runs ({len(runs)} of {len(document['runs'])})" if len(runs) < len(document["runs"]) else "Runs",
        ("#run", "started", "ended", "how"),
        [(run["id"], when(run["started"]), when(run["ended"]), _end(run)) for run in runs],
    )
    if document["kind"] == "crawl":
        _rows(screen, "By host", "host", document["hosts"], limit)
        about = "" if document["callbacks_exact"] else ": ready and waiting are estimates, --exact counts"
        _rows(screen, f"By callback{about}", "callback", document["callbacks"], limit)
    else:
        _table(screen, "Failed tasks", ("task_type", "#waiting", "#leased", "#dead"), document["task_types"])
        columns = ("task_type", "run_id", "status", "#total_items", "#processed_items", "#failed_items")
        _table(screen, "Collections", columns, document["collections"])
    fields = ("task_type", "name", "#current_page", "last_cursor", "last_slug", "#total_processed", "last_update")
    points = [{**point, "last_update": when(point["last_update"])} for point in document["points"]]
    _table(screen, "Resume points", fields, points[:limit], len(points))


def _lines(document: Document) -> Iterator[str]:
    job, last = document["job"], document["last_run"]
    what = f"spider {job['spider']}" if document["kind"] == "crawl" else "a service"
    yield f"{job['id']} of {what} in {document['directory']}: {document['state'].upper()}"
    if job["arguments"]:
        yield "  arguments: " + " ".join(f"{name}={value}" for name, value in job["arguments"].items())
    if last is not None and document["kind"] == "crawl":
        yield _speed(last["id"], document["rate"])
    yield from _books(document)
    if document["next_due"]:
        yield f"  the next one that waits is due {when(document['next_due'])}"


def _speed(run: int, rate: Document) -> str:
    told = f"  run {run}: {rate['pages']:,} pages, {rate['items']:,} items in {span(rate['seconds'])}"
    if not rate["seconds"]:
        return told
    return f"{told} ({rate['pages_per_minute']:,} pages/min, {rate['items_per_minute']:,} items/min)"


def _books(document: Document) -> Iterator[str]:
    books = document["requests"] if document["kind"] == "crawl" else document["tasks"]
    words = [name for name in ("done", "ready", "waiting", "leased", "dead", "discarded") if name in books]
    what = "requests" if document["kind"] == "crawl" else "tasks"
    yield f"  {what}: {books['admitted']:,} admitted = " + " + ".join(f"{books[word]:,} {word}" for word in words)
    if "items" in document:
        words = ["exported", "duplicate", "dropped", "failed"]
        items = document["items"]
        yield f"  items: {items['scraped']:,} scraped = " + " + ".join(f"{items[word]:,} {word}" for word in words)
    for name in (what, "items"):
        difference = document.get(name, {}).get("difference")
        if difference:
            yield f"  THE BOOKS DO NOT BALANCE: {difference} {name} are unaccounted for"


def _end(run: Document) -> str:
    return f"{run['end']} ({run['reason']})" if run["reason"] not in (None, run["end"]) else str(run["end"])


def _rows(screen: Terminal, title: str, column: str, rows: list[Document], limit: int) -> None:
    named = [{**row, column: row[column] or "(any)"} for row in rows[:limit]]
    _table(screen, title, (column, *(f"#{state}" for state in STATES), "#items"), named, len(rows))


def _table(
    screen: Terminal, title: str, columns: tuple[str, ...], rows: list[dict[str, Any]], total: int | None = None
) -> None:
    if rows:
        told = f"{title} ({len(rows)} of {total:,})" if total is not None and total > len(rows) else title
        screen.table(
            told,
            [name.replace("_", " ") for name in columns],
            [[row[name.lstrip("#")] for name in columns] for row in rows],
        )


def when(time: str | None) -> str | None:
    """A time in ISO 8601 as people here read it."""
    return None if time is None else datetime.fromisoformat(time).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def span(seconds: float) -> str:
    """A number of seconds as people say it."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{seconds:.1f} s"


COMMANDS = (
    Command(
        "status",
        "How far a job is: its runs, its rate, what is ready, waiting, leased, dead and done.",
        (
            ("status", "the job of this project"),
            ("status --jobdir jobs/cars --json", "the same for programs, keys as in docs/commands.md"),
            ("status --check --jobdir jobs/cars", "for cron: 3 if it neither runs nor has finished"),
        ),
        _arguments,
        _run,
        has_json=True,
        statuses={DIFFERENT: "with --check: the job has not finished, and nobody is at work on it"},
    ),
)
