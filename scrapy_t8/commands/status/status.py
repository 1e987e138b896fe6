"""``scrapy t8 status``: how far is the job?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from scrapy_t8.commands.console import Terminal
from scrapy_t8.commands.context import CommandContext
from scrapy_t8.commands.failed.selection import positive
from scrapy_t8.commands.registry import MISMATCH, OK, argument, command, flag
from scrapy_t8.report.summary import account_lines, difference_lines

from .document import Document, counts

LATEST = 5  # Runs that are shown
ROWS = 20
STATES = ("ready", "waiting", "leased", "dead", "done")


@command(
    "status",
    flag("--check", text="end with 3 unless the job is finished or running"),
    flag("--exact", text="count by callback also beyond 100,000 requests"),
    argument("--limit", type=positive, default=ROWS, metavar="N", help="rows of a table (default: %(default)s)"),
    has_json=True,
    statuses={MISMATCH: "with --check: the job is not finished, and no crawl is running"},
)
def _run(context: CommandContext) -> int:
    """The progress of a job: its runs, its rate, and its ready, waiting, leased, dead and done requests.

    status  # the job of this project
    status --jobdir jobs/cars --json  # the same for programs; docs/commands.md lists the keys
    status --check --jobdir jobs/cars  # for cron: 3 if the job is neither running nor finished
    """
    with context.view() as view:
        document = counts(view, context.directory, time.time(), exact=context.options.exact)
    if context.options.json:
        context.terminal.print_json(document)
    else:
        _print(document, context.terminal, context.options.limit)
    return MISMATCH if context.options.check and not _is_well(document) else OK


def _is_well(document: Document) -> bool:
    if document["kind"] == "crawl" or document["running"]:
        return document["state"] in ("running", "finished")
    tasks = document["tasks"]
    return not tasks["waiting"] and not tasks["dead"]


def _print(document: Document, terminal: Terminal, limit: int) -> None:
    for line in _lines(document):
        terminal.print_line(line)
    runs = document["runs"]
    rows = [
        {"run": run["id"], "started": when(run["started"]), "ended": when(run["ended"]), "how": _end(run)}
        for run in runs[-LATEST:]
    ]
    _table(terminal, "Runs", ("#run", "started", "ended", "how"), rows, len(runs))
    if document["kind"] == "crawl":
        _counts(terminal, "By host", "host", document["hosts"], limit)
        note = "" if document["callbacks_exact"] else ": too many requests, --exact counts ready and waiting"
        _counts(terminal, f"By callback{note}", "callback", document["callbacks"], limit)
    else:
        _table(terminal, "Failed tasks", ("task_type", "#waiting", "#leased", "#dead"), document["task_types"])
        columns = ("task_type", "run_id", "status", "#total_items", "#processed_items", "#failed_items")
        _table(terminal, "Collections", columns, document["collections"])
    fields = ("task_type", "name", "#current_page", "last_cursor", "last_slug", "#total_processed", "last_update")
    points = [{**point, "last_update": when(point["last_update"])} for point in document["points"]]
    _table(terminal, "Resume points", fields, points[:limit], len(points))


def _lines(document: Document) -> Iterator[str]:
    job, last, is_crawl = document["job"], document["last_run"], document["kind"] == "crawl"
    whose = f"spider {job['spider']}" if is_crawl else "a service"
    yield f"{job['id']} of {whose} in {document['directory']}: {document['state'].upper()}"
    if job["arguments"]:
        yield "  arguments: " + " ".join(f"{name}={value}" for name, value in job["arguments"].items())
    if last is not None and is_crawl:
        yield _speed(last["id"], document["rate"])
    accounts = {name: document[name] for name in (("requests", "items") if is_crawl else ("tasks",))}
    yield from account_lines(accounts)
    yield from difference_lines(accounts)
    if document["next_due"]:
        yield f"  the next retry is due {when(document['next_due'])}"


def _speed(run: int, rate: Document) -> str:
    line = f"  run {run}: {rate['pages']:,} pages, {rate['items']:,} items in {span(rate['seconds'])}"
    if not rate["seconds"]:
        return line
    return f"{line} ({rate['pages_per_minute']:,} pages/min, {rate['items_per_minute']:,} items/min)"


def _end(run: Document) -> str:
    return f"{run['end']} ({run['reason']})" if run["reason"] not in (None, run["end"]) else str(run["end"])


def _counts(terminal: Terminal, title: str, column: str, rows: list[Document], limit: int) -> None:
    named = [{**row, column: row[column] or "(any)"} for row in rows[:limit]]
    _table(terminal, title, (column, *(f"#{state}" for state in STATES), "#items"), named, len(rows))


def _table(
    terminal: Terminal, title: str, columns: tuple[str, ...], rows: list[dict[str, Any]], total: int | None = None
) -> None:
    if rows:
        title = f"{title} ({len(rows)} of {total:,})" if total is not None and total > len(rows) else title
        names = [name.replace("_", " ") for name in columns]
        terminal.print_table(title, names, [[row[name.lstrip("#")] for name in columns] for row in rows])


def when(time: str | None) -> str | None:
    """Return a time in ISO 8601 as a local date and time."""
    return None if time is None else datetime.fromisoformat(time).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def span(seconds: float) -> str:
    """Return a number of seconds in hours, minutes and seconds."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{seconds:.1f} s"


COMMANDS = (_run,)
