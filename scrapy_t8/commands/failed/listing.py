"""``scrapy t8 failed``: what failed, one by one or by cause, and the family of commands about it."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from scrapy_t8.commands.context import CommandContext, JobView
from scrapy_t8.commands.registry import OK, Command, command
from scrapy_t8.commands.status.status import when
from scrapy_t8.report.document import iso

from . import selection
from .change import discard, revive
from .show import export, show

ROWS = 50  # Rows that people see without ``--limit``
MANY = 10  # From more rows on, the list names the command that groups them
LETTER_COLUMNS = ("#id", "?buried at", "kind", "?#status", "*error", "*url", "?callback")
TASK_COLUMNS = ("task id", "state", "*target", "*error", "#retries", "#of", "?next try")
REQUEST_COLUMNS = ("task id", "?kind", "?host", "*url", "*error", "#attempts", "#of", "?next try")
GROUP_COLUMNS = ("#count", "kind", "*error", "?host", "?callback", "?first", "?last", "#example")
TASK_GROUP_COLUMNS = ("#count", "state", "?task type", "*error", "?first", "?last", "example")


@command("list", selection.add_filters, has_json=True)
def _list(context: CommandContext) -> int:
    """What failed, one by one: dead letters of a crawl, failed tasks of a service.

    failed list  # everything
    failed list --kind http --status 404 --since 2d  # not found, in the last two days
    failed list --text timeout --limit 10 --json  # the first ten with timeout in error, URL or target
    failed list --waiting  # requests of a crawl, or tasks of a service, that wait for a retry
    """
    options, terminal = context.options, context.terminal
    with context.view() as view:
        total, are_tasks = selection.count(view, options), selection.are_tasks(view, options)
        if options.json:
            name = "tasks" if are_tasks else "letters"
            found = list(selection.rows(view, options))
            terminal.print_json({"version": 1, "kind": view.kind, "total": total, name: found})
            return OK
        options.limit = options.limit or ROWS
        cells = [_cells(row, are_tasks=are_tasks) for row in selection.rows(view, options)]
        if not cells:
            terminal.print_line(f"Nothing {'of that kind ' if total or selection.is_filtered(options) else ''}failed.")
            return OK
        title, columns = _heading(view, are_tasks=are_tasks)
        hint = ("failed groups: by cause",) if len(cells) > MANY else ()
        terminal.print_table(_titled(title, len(cells), total, *hint), columns, cells)
    return OK


def _titled(title: str, shown: int, total: int, *hints: str) -> str:
    """Return the title of a table that shows so many rows of *total*."""
    left_out = (f"{shown:,} of {total:,}", "--limit shows more") if shown < total else ()
    notes = "; ".join((*left_out, *hints))
    return f"{title} ({notes})" if notes else title


def _heading(view: JobView, *, are_tasks: bool) -> tuple[str, tuple[str, ...]]:
    """Return the title and the columns of the list."""
    if not are_tasks:
        return "Dead letters", LETTER_COLUMNS
    return ("Failed tasks", TASK_COLUMNS) if view.is_service else ("Requests that wait", REQUEST_COLUMNS)


def _cells(row: dict[str, Any], *, are_tasks: bool) -> tuple[Any, ...]:
    if are_tasks:
        retries = (str(row["retry_count"]), str(row["max_retries"]), when(row["next_retry_time"]))
        if "host" in row:
            request = row["metadata"]
            return (row["task_id"], request["kind"], row["host"], request["url"], row["error_message"], *retries)
        return (row["task_id"], row["state"], row["target"], row["error_message"], *retries)
    status = None if row["status"] is None else str(row["status"])
    what = (row["kind"], status, row["error"], row["url"] or row["target"], row["callback"])
    return (str(row["id"]), when(row["buried_at"]), *what)


@command("groups", lambda parser: selection.add_filters(parser, ids=False), has_json=True)
def _groups(context: CommandContext) -> int:
    """What failed, by cause, the most frequent first.

    failed groups  # everything
    failed groups --host shop.example.com  # one host
    """
    terminal = context.terminal
    with context.view() as view:
        are_tasks = selection.are_tasks(view, context.options)
        found = _by_error(view, context.options) if are_tasks else _by_cause(view, context.options)
    groups = found[: context.options.limit]
    if context.options.json:
        terminal.print_json({"version": 1, "kind": view.kind, "groups": groups})
    elif not groups:
        terminal.print_line("Nothing failed.")
    else:
        shown = groups[:ROWS] if context.options.limit is None else groups
        for row in shown:
            row |= {"first": when(row["first"]), "last": when(row["last"]), "example": str(row["example"])}
        columns = TASK_GROUP_COLUMNS if are_tasks else GROUP_COLUMNS
        terminal.print_table(_titled("By cause", len(shown), len(found)), columns, [[*row.values()] for row in shown])
    return OK


def _by_cause(view: JobView, options: argparse.Namespace) -> list[dict[str, Any]]:
    groups = view.letters.groups(selection.checked_filter(view, options))
    return [{"count": g.count, **asdict(g), "first": iso(g.first), "last": iso(g.last)} for g in groups]


def _by_error(view: JobView, options: argparse.Namespace) -> list[dict[str, Any]]:
    groups: dict[tuple[str, str, str], list[Any]] = {}
    for task in selection.tasks(view, argparse.Namespace(**{**vars(options), "limit": None})):
        key = (task.state, task.task.task_type, task.task.error_message)
        groups.setdefault(key, []).append((task.task.created_at, task.task.task_id))
    rows = []
    for (state, task_type, error), found in groups.items():
        (first, _), (last, example) = min(found), max(found)
        cause = {"count": len(found), "state": state, "task_type": task_type, "error": error}
        rows.append({**cause, "first": first.isoformat(), "last": last.isoformat(), "example": example})
    return sorted(rows, key=lambda row: -row["count"])


COMMANDS = (
    Command(
        "failed",
        "What failed: list it, show one, group it, revive, discard, export.",
        (
            ("failed groups", "what are the causes?"),
            ("failed revive --kind host", "try again what failed because a host was down"),
        ),
        family=(_list, show, _groups, revive, discard, export),
    ),
)
