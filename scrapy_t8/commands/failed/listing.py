"""``scrapy t8 failed ...``: what failed, one by one or by cause; the family of commands about it."""

from __future__ import annotations

import argparse
from typing import Any

from scrapy_t8.commands.context import CommandContext, JobView
from scrapy_t8.commands.registry import FINE, Command
from scrapy_t8.commands.status.status import when

from . import selection
from .change import DISCARD, REVIVE
from .filters import add_filters
from .show import EXPORT, SHOW

ROWS = 50
"""That are shown to people who did not say how many."""
LETTER_COLUMNS = ("#id", "buried at", "kind", "#status", "error", "url", "callback")
TASK_COLUMNS = ("task id", "state", "target", "error", "#retries", "#of", "next try")


def _list(call: CommandContext) -> int:
    options, screen = call.options, call.screen
    with call.looking() as look:
        total = selection.count(look, options)
        if options.json:
            found = list(selection.rows(look, options))
            name = "tasks" if look.of_service else "letters"
            screen.json({"version": 1, "kind": _kind(look), "total": total, name: found})
            return FINE
        options.limit = options.limit or ROWS
        cells = [_cells(row, of_service=look.of_service) for row in selection.rows(look, options)]
        if not cells:
            screen.say(f"Nothing {'of that kind ' if total or _is_filtered(options) else ''}failed.")
            return FINE
        title = "Failed tasks" if look.of_service else "Dead letters"
        shown = f"{title} ({len(cells):,} of {total:,}; --limit shows more)" if len(cells) < total else title
        screen.table(shown, TASK_COLUMNS if look.of_service else LETTER_COLUMNS, cells)
    return FINE


def _kind(look: JobView) -> str:
    return "service" if look.of_service else "crawl"


def _is_filtered(options: argparse.Namespace) -> bool:
    names = ("ids", "kind", "host", "callback", "status", "task_type", "text", "since", "until", "job", "state")
    return any(getattr(options, name, None) not in (None, []) for name in names)


def _cells(row: dict[str, Any], *, of_service: bool) -> tuple[Any, ...]:
    if of_service:
        retries = (str(row["retry_count"]), str(row["max_retries"]), when(row["next_retry_time"]))
        return (row["task_id"], row["state"], row["target"], row["error_message"], *retries)
    status = None if row["status"] is None else str(row["status"])
    what = (row["kind"], status, row["error"], row["url"] or row["target"], row["callback"])
    return (str(row["id"]), when(row["buried_at"]), *what)


# -- by cause ----------------------------------------------------------------------------------------------------


def _groups(call: CommandContext) -> int:
    with call.looking() as look:
        groups = _by_error(look, call.options) if look.of_service else _by_cause(look, call.options)
        groups = groups[: call.options.limit]
        document = {"version": 1, "kind": _kind(look), "groups": groups}
    if call.options.json:
        call.screen.json(document)
        return FINE
    if not groups:
        call.screen.say("Nothing failed.")
        return FINE
    columns = [name for name in groups[0] if name not in ("first", "last", "example")]
    cells = [
        [*(row[name] for name in columns), when(row["first"]), when(row["last"]), str(row["example"])] for row in groups
    ]
    right = ["#count" if name == "count" else name.replace("_", " ") for name in columns]
    call.screen.table("By cause", [*right, "first", "last", "example"], cells)
    return FINE


def _by_cause(look: JobView, options: argparse.Namespace) -> list[dict[str, Any]]:
    return [
        {
            "count": group.count,
            "kind": group.kind,
            "error": group.error,
            "host": group.host,
            "callback": group.callback,
            "first": selection.iso(group.first),
            "last": selection.iso(group.last),
            "example": group.example,
        }
        for group in look.letters.groups(selection.which(look, options))
    ]


def _by_error(look: JobView, options: argparse.Namespace) -> list[dict[str, Any]]:
    groups: dict[tuple[str, str, str], list[Any]] = {}
    for task in selection.tasks(look, argparse.Namespace(**{**vars(options), "limit": None})):
        cause = (task.state, task.task.task_type, task.task.error_message)
        groups.setdefault(cause, []).append((task.task.created_at, task.task.task_id))
    rows = [
        {
            "count": len(found),
            "state": state,
            "task_type": task_type,
            "error": error,
            "first": min(found)[0].isoformat(),
            "last": max(found)[0].isoformat(),
            "example": max(found)[1],
        }
        for (state, task_type, error), found in groups.items()
    ]
    return sorted(rows, key=lambda row: -row["count"])


# -- the family --------------------------------------------------------------------------------------------------

LIST = Command(
    "list",
    "What failed, one by one: dead letters of a crawl, failed tasks of a service.",
    (
        ("failed list", "all of it"),
        ("failed list --kind http --status 404 --since 2d", "not found, in the last two days"),
        ("failed list --text timeout --limit 10 --json", "the first ten with timeout in error, URL or target"),
        ("failed list --jobdir data/state --state waiting", "tasks of a service that wait for their next try"),
    ),
    add_filters,
    _list,
    has_json=True,
)
GROUPS = Command(
    "groups",
    "What failed, by cause, the most frequent first.",
    (("failed groups", "all of it"), ("failed groups --host shop.example.com", "of one host")),
    lambda parser: add_filters(parser, ids=False),
    _groups,
    has_json=True,
)
COMMANDS = (
    Command(
        "failed",
        "What failed: list it, show one, group it, revive, discard, export.",
        (
            ("failed groups", "what are the causes?"),
            ("failed revive --kind host", "try again what failed by a host that was down"),
        ),
        family=(LIST, SHOW, GROUPS, REVIVE, DISCARD, EXPORT),
    ),
)
