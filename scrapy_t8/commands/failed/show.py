"""``scrapy t8 failed show`` and ``failed export``: what failed, with all that is known of it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any

from scrapy_t8.commands.console import Terminal, dumped
from scrapy_t8.commands.context import CommandContext, JobView
from scrapy_t8.commands.registry import FINE, Command
from scrapy_t8.commands.status.status import when
from scrapy_t8.errors import CommandError
from scrapy_t8.utils.files import STDOUT, writing

from . import selection
from .filters import add_filters

DETAILS = ("traceback", "body")
"""Shown as they are, line by line."""


def _shown(call: CommandContext, look: JobView) -> Iterator[dict[str, Any]]:
    """All that is known of each that is chosen, without secrets unless these are wanted."""
    if call.options.secrets:
        call.screen.mask = None
    return (call.screen.masked(facts, given=True) for facts in _facts(look, call.options))


def _facts(look: JobView, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    if look.of_service:
        yield from (task.told() for task in selection.tasks(look, options))
        return
    for letter in selection.letters(look, options):
        whole = look.letters.get(letter.id)
        if whole is not None:
            yield look.letters.facts(whole)


# -- show --------------------------------------------------------------------------------------------------------


def _show(call: CommandContext) -> int:
    options = call.options
    with call.looking() as look:
        found = list(_shown(call, look))
    if not found:
        raise CommandError(f"there is no task {', '.join(options.ids)}: 'scrapy t8 failed list' tells which there are")
    for facts in found:
        if options.json:
            call.screen.json(facts)
        else:
            _tell(facts, call.screen)
    return FINE


def _tell(facts: dict[str, Any], screen: Terminal) -> None:
    for name, value in facts.items():
        if name not in ("attempts", "detail", "request") and value not in (None, "", {}):
            screen.say(f"{name.replace('_', ' '):<16}{value if isinstance(value, str) else json.dumps(value)}")
    for line in _request(facts.get("request") or {}):
        screen.say(line)
    for attempt in facts.get("attempts", ()):
        screen.say(f"{'attempt':<16}{when(attempt['time'])}  {attempt['kind']}: {attempt['error']}")
    for name, value in (facts.get("detail") or {}).items():
        screen.say(f"{name}:")
        for line in (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).splitlines():
            screen.say(f"    {line}")


def _request(request: dict[str, Any]) -> Iterator[str]:
    if request:
        yield f"{'request':<16}{request['method']} {request['url']}"
        for name, value in request["headers"].items():
            yield f"    {name}: {value if isinstance(value, str) else ', '.join(map(str, value))}"
        for name in ("body", "meta"):
            if request[name]:
                yield f"    {name} {json.dumps(request[name], ensure_ascii=False)}"


# -- export ------------------------------------------------------------------------------------------------------


def _export(call: CommandContext) -> int:
    options = call.options
    as_json = (options.format or ("json" if options.file.endswith(".json") else "jsonl")) == "json"
    written = 0
    with call.looking() as look, writing(options.file) as file:
        for facts in _shown(call, look):
            begin = ("[\n" if not written else ",\n") if as_json else ""
            file.write(begin + dumped(facts, file) + ("" if as_json else "\n"))
            written += 1
        if as_json:
            file.write("\n]\n" if written else "[]\n")
    if options.file != STDOUT:
        call.screen.say(f"{written:,} written to {options.file}")
    return FINE


def _secrets(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--secrets", action="store_true", help="do not hide credentials, cookies, tokens")


def _arguments_of_show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ids", nargs="+", metavar="ID", help="the number of a dead letter, or the id of a task")
    parser.set_defaults(limit=None, state=None, since=None, until=None, job=None, text=None)
    parser.set_defaults(kind=None, host=None, callback=None, status=None, task_type=None)
    _secrets(parser)


def _arguments_of_export(parser: argparse.ArgumentParser) -> None:
    help_ = "the file, made anew; - is standard output (default)"
    parser.add_argument("-o", "--output", dest="file", metavar="FILE", default=STDOUT, help=help_)
    parser.add_argument("--format", choices=("jsonl", "json"), help="default: as the file is named, else jsonl")
    _secrets(parser)
    add_filters(parser)


SHOW = Command(
    "show",
    "One failure with all that is known: request, attempts, traceback, a part of the body.",
    (
        ("failed show 17", "the dead letter number 17"),
        ("failed show DETAIL_COLLECTION_a1b2c3d4 --json", "a task of a service"),
    ),
    _arguments_of_show,
    _show,
    has_json=True,
)
EXPORT = Command(
    "export",
    "Write what failed, with all that is known, as JSON lines or JSON.",
    (
        ("failed export -o dead.jsonl", "all, a JSON object in a line each"),
        ("failed export --kind parse -o bugs.json", "pages that failed by a bug, as one JSON list"),
        ("failed export | head -3", "to standard output"),
    ),
    _arguments_of_export,
    _export,
)
