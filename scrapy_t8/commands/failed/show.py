"""``scrapy t8 failed show`` and ``failed export``: what failed, with all that is known of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from scrapy_t8.commands.console import Terminal, json_text
from scrapy_t8.commands.context import CommandContext, JobView
from scrapy_t8.commands.registry import OK, argument, command, flag, output
from scrapy_t8.commands.status.status import when
from scrapy_t8.errors import CommandError
from scrapy_t8.utils.files import STDOUT, writing
from scrapy_t8.utils.text import counted

from . import selection
from .frames import project_frames

PARTS = ("attempts", "detail", "request")  # They have lines of their own
TIMES = ("buried_at", "created_at", "next_retry_time")
INTERNAL = {"entry": "request number", "fingerprint": "fingerprint", "code": "hash of code"}
"""What only ``--full`` shows, with the names for people."""
NAMES = {**INTERNAL, "counts": "tries"}
SECRETS = flag("--secrets", text="do not hide credentials, cookies and tokens")


def _facts(context: CommandContext, view: JobView) -> Iterator[dict[str, Any]]:
    """Return all that is known of each chosen letter or task, without secrets unless ``--secrets`` is given."""
    if context.options.secrets:
        context.terminal.mask = None
    found = _tasks if selection.are_tasks(view, context.options) else _letters
    return (context.terminal.masked(facts, given=True) for facts in found(context, view))


def _tasks(context: CommandContext, view: JobView) -> Iterator[dict[str, Any]]:
    for task in selection.tasks(view, context.options):
        waiting = None if view.is_service else task.waiting
        yield {**task.to_dict(), **({} if waiting is None else view.letters.facts_of_waiting(waiting))}


def _letters(context: CommandContext, view: JobView) -> Iterator[dict[str, Any]]:
    for letter in selection.letters(view, context.options):
        if (whole := view.letters.get(letter.id)) is not None:
            yield view.letters.facts(whole)


@command(
    "show",
    argument("ids", nargs="+", metavar="ID", help="the number of a dead letter, or the id of a task"),
    lambda parser: parser.set_defaults(limit=None, **{name: None for name in selection.NAMES if name != "ids"}),
    SECRETS,
    flag("--full", text="also the frames of Scrapy and Twisted in tracebacks, and internal numbers"),
    has_json=True,
)
def show(context: CommandContext) -> int:
    """One failure with all that is known: request, attempts, traceback, part of the body.

    failed show 17  # the dead letter number 17
    failed show DETAIL_COLLECTION_a1b2c3d4 --json  # a task of a service, or a request of a crawl that waits
    """
    options = context.options
    with context.view() as view:
        if not view.is_service and any("_" in one for one in options.ids):
            options.state = selection.WAITING  # dead letters have numbers
        found = list(_facts(context, view))
    if not found:
        raise CommandError(f"there is no task {', '.join(options.ids)}: 'scrapy t8 failed list' shows all")
    for facts in found:
        if options.json:
            context.terminal.print_json(facts)
        else:
            _print(facts, context.terminal, is_full=options.full)
    return OK


def _print(facts: dict[str, Any], terminal: Terminal, *, is_full: bool) -> None:
    for name, value in _shown(facts, is_full=is_full):
        terminal.print_line(f"{name:<16}{value}")
    for line in _request_lines(facts.get("request") or {}):
        terminal.print_line(line)
    for attempt in facts.get("attempts", ()):
        terminal.print_line(f"{'attempt':<16}{when(attempt['time'])}  {attempt['kind']}: {attempt['error']}")
    for name, value in (facts.get("detail") or {}).items():
        terminal.print_line(f"{name}:")
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        text, left_out = project_frames(text) if name == "traceback" and not is_full else (text, 0)
        for line in text.splitlines():
            terminal.print_line(f"    {line}")
        if left_out:
            frames = counted(left_out, "frame", "frames")
            terminal.print_line(f"    ({frames} of Scrapy and Twisted left out: --full shows them)")


def _shown(facts: dict[str, Any], *, is_full: bool) -> Iterator[tuple[str, str]]:
    """Yield the facts that have a line each, with their names for people. ``--json`` has the names of the formats."""
    for name, value in facts.items():
        is_repeated = name == "target" and value == facts.get("url")
        if name in PARTS or value in (None, "", {}) or is_repeated or (name in INTERNAL and not is_full):
            continue
        if name == "counts":
            value = ", ".join(f"{count} {kind}" for kind, count in value.items())
        elif name in TIMES:
            value = when(value)
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        yield NAMES.get(name, name.replace("_", " ")), text


def _request_lines(request: dict[str, Any]) -> Iterator[str]:
    if request:
        yield f"{'request':<16}{request['method']} {request['url']}"
        for name, value in request["headers"].items():
            yield f"    {name}: {value if isinstance(value, str) else ', '.join(map(str, value))}"
        for name in ("body", "meta"):
            if request[name]:
                yield f"    {name} {json.dumps(request[name], ensure_ascii=False)}"


@command(
    "export",
    output("the file, which is replaced; - is standard output (default)"),
    argument("--format", choices=("jsonl", "json"), help="default: by the name of the file, else jsonl"),
    SECRETS,
    selection.add_filters,
)
def export(context: CommandContext) -> int:
    """Write what failed, with all that is known, as JSON lines or JSON.

    failed export -o dead.jsonl  # everything, one JSON object a line
    failed export --kind parse -o bugs.json  # pages that failed by a bug, as one JSON list
    failed export --waiting  # what waits for its next try
    failed export | head -3  # to standard output
    """
    options = context.options
    as_json = (options.format or ("json" if options.file.endswith(".json") else "jsonl")) == "json"
    written = 0
    with context.view() as view, writing(options.file) as file:
        for facts in _facts(context, view):
            begin = ("[\n" if not written else ",\n") if as_json else ""
            file.write(begin + json_text(facts, file) + ("" if as_json else "\n"))
            written += 1
        if as_json:
            file.write("\n]\n" if written else "[]\n")
    if options.file != STDOUT:
        context.terminal.print_line(f"{written:,} written to {options.file}")
    return OK
