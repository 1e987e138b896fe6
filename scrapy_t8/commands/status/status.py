"""``scrapy t8 status``: how far is the job?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from scrapy_t8.commands.console import Terminal
from scrapy_t8.commands.context import CommandContext
from scrapy_t8.commands.failed.selection import positive
from scrapy_t8.commands.registry import MISMATCH, OK, argument, command, flag
from scrapy_t8.commands.tables import MARKS
from scrapy_t8.report.files import read_report
from scrapy_t8.report.next_steps import heal_step, what_follows
from scrapy_t8.report.summary import account_lines, difference_lines, without_result_lines
from scrapy_t8.report.text import span

from .document import Document, counts

LATEST = 5  # Runs that are shown
ROWS = 20
STATES = ("?#ready", "?#waiting", "?#leased", "#dead", "#done")


@command(
    "status",
    flag("--check", text="end with 3 unless the job is complete or running"),
    flag("--exact", text="count by callback also beyond 100,000 requests"),
    argument("--limit", type=positive, default=ROWS, metavar="N", help="rows of a table (default: %(default)s)"),
    has_json=True,
    statuses={MISMATCH: "with --check: the job is not complete, and no crawl is running"},
)
def _run(context: CommandContext) -> int:
    """The progress of a job: its verdict, what failed, its runs, its rate, and its requests by state.

    status  # the job of this project
    status --jobdir jobs/cars --json  # the same for programs; scrapy t8 help commands lists the keys
    status --check --jobdir jobs/cars  # for cron: 3 if the job is neither running nor complete
    """
    with context.view() as view:
        document = counts(view, context.directory, time.time(), exact=context.options.exact)
    report: Document = {}
    if document["kind"] == "crawl" and not document["running"]:
        report = read_report(context.directory, context.accepted)
        document["verdict"] = report["verdict"]
    if context.options.json:
        context.terminal.print_json(document)
    else:
        for line in _lines(document, report, context.directory):
            context.terminal.print_line(line)
        _print_tables(document, context.terminal, context.options.limit)
    return MISMATCH if context.options.check and not _is_well(document) else OK


def _is_well(document: Document) -> bool:
    if document["kind"] == "crawl" or document["running"]:
        return bool(document["running"]) or document["verdict"] == "complete"
    tasks = document["tasks"]
    return not tasks["waiting"] and not tasks["dead"]


def _print_tables(document: Document, terminal: Terminal, limit: int) -> None:
    runs = document["runs"]
    rows = [
        {"run": run["id"], "started": when(run["started"]), "ended": when(run["ended"]), "how": _end(run)}
        for run in runs[-LATEST:]
    ]
    _table(terminal, "Runs", ("#run", "?started", "?ended", "*how"), rows, len(runs))
    if document["kind"] == "crawl":
        _counts(terminal, "By host", "host", document["hosts"], limit)
        note = "" if document["callbacks_exact"] else ": too many requests, --exact counts ready and waiting"
        _counts(terminal, f"By callback{note}", "callback", document["callbacks"], limit)
    else:
        _table(terminal, "Failed tasks", ("*task_type", "#waiting", "?#leased", "#dead"), document["task_types"])
        columns = ("*task_type", "?run_id", "status", "?#total_items", "#processed_items", "?#failed_items")
        _table(terminal, "Collections", columns, document["collections"])
    fields = ("*task_type", "*name", "#current_page", "*last_cursor", "*last_slug", "#total_processed", "?last_update")
    points = [{**point, "last_update": when(point["last_update"])} for point in document["points"]]
    _table(terminal, "Resume points", fields, points[:limit], len(points))


def _lines(document: Document, report: Document, directory: Path) -> Iterator[str]:
    """Yield the lines above the tables. *report* is empty for a service, and for a crawl that runs."""
    job, last, is_crawl = document["job"], document["last_run"], document["kind"] == "crawl"
    whose = f"spider {job['spider']}" if is_crawl else "a service"
    states = ", ".join(filter(None, (document["state"].upper(), (document["verdict"] or "").upper())))
    yield f"{job['id']} of {whose} in {document['directory']}: {states}"
    if job["arguments"]:
        yield "  arguments: " + " ".join(f"{name}={value}" for name, value in job["arguments"].items())
    if last is not None and is_crawl:
        yield _speed(last["id"], document["rate"])
    accounts = {name: document[name] for name in (("requests", "items") if is_crawl else ("tasks",))}
    yield from account_lines(accounts)
    yield from difference_lines(accounts)
    if is_crawl:
        yield from _progress(document)
    if document["next_due"]:
        yield f"  the next retry is due {when(document['next_due'])}"
    if report:
        if step := heal_step(report, directory):
            yield f"  {step}"
        yield from without_result_lines(report, directory)
        for reason in report["unproven"]:
            yield f"  NOT PROVEN: {reason}"
        if follows := what_follows(report):
            yield f"  next: {follows}"


def _progress(document: Document) -> Iterator[str]:
    """Yield how much of what is known has ended, and what holds back the rest."""
    requests = document["requests"]
    ended = requests["done"] + requests["dead"] + requests["discarded"]
    if ended < requests["admitted"]:
        share = 100 * ended // requests["admitted"]
        yield f"  {ended:,} of {requests['admitted']:,} known requests have ended ({share} %)"
    if document["running"]:
        for group in document["failures"]:
            yield f"  {group['count']:,} dead in {group['callback']}: {group['error']}"
    for row in document["hosts_down"]:
        probe = "given up" if row["given_up"] else f"next probe {when(row['next_probe'])}"
        yield f"  host {row['host']} is down since {when(row['since'])}: {probe}"


def _speed(run: int, rate: Document) -> str:
    line = f"  run {run}: {rate['pages']:,} pages, {rate['items']:,} items in {span(rate['seconds'])}"
    if not rate["seconds"]:
        return line
    return f"{line} ({rate['pages_per_minute']:,} pages/min, {rate['items_per_minute']:,} items/min)"


def _end(run: Document) -> str:
    return f"{run['end']} ({run['reason']})" if run["reason"] not in (None, run["end"]) else str(run["end"])


def _counts(terminal: Terminal, title: str, column: str, rows: list[Document], limit: int) -> None:
    named = [{**row, column: row[column] or "(any)"} for row in rows[:limit]]
    _table(terminal, title, (f"*{column}", *STATES, "#items"), named, len(rows))


def _table(
    terminal: Terminal, title: str, columns: tuple[str, ...], rows: list[dict[str, Any]], total: int | None = None
) -> None:
    if rows:
        if total is not None and total > len(rows):
            title = f"{title} ({len(rows)} of {total:,}{'; --limit shows more' if len(rows) != LATEST else ''})"
        names = [name.replace("_", " ") for name in columns]
        terminal.print_table(title, names, [[row[name.lstrip(MARKS)] for name in columns] for row in rows])


def when(time: str | None) -> str | None:
    """Return a time in ISO 8601 as a local date and time."""
    return None if time is None else datetime.fromisoformat(time).astimezone().strftime("%Y-%m-%d %H:%M:%S")


COMMANDS = (_run,)
