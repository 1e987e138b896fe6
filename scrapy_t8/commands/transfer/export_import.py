"""``scrapy t8 export`` and ``import``: the whole state as JSON, out and in."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scrapy_t8.commands.console import json_text
from scrapy_t8.commands.context import CommandContext, JobView
from scrapy_t8.commands.job_view import points, states
from scrapy_t8.commands.registry import CHANGES, OK, Command
from scrapy_t8.errors import CommandError, FormatError
from scrapy_t8.model.json_document import VERSION
from scrapy_t8.utils.files import STDOUT, writing
from scrapy_t8.utils.times import isoformat, moment

from .crawl_import import ImportSummary, taken_in
from .letter_json import from_letter
from .service_import import take_in

# -- out ---------------------------------------------------------------------------------------------------------


def _export(call: CommandContext) -> int:
    options = call.options
    with call.view() as look:
        document = _document(look)
    with writing(options.file) as file:
        file.write(json_text(document, file, 1) + "\n")
    if options.file != STDOUT:
        letters = f", dead letters: {len(document['dead_letters']):,}" if "dead_letters" in document else ""
        call.terminal.print_line(f"Written to {options.file}. Task types: {len(document['states']):,}{letters}")
    return OK


def _document(look: JobView) -> dict[str, Any]:
    document: dict[str, Any] = {
        "version": VERSION,
        "exported_at": isoformat(moment(time.time())),
        "states": list(_states(look)),
    }
    if not look.is_service:
        job = look.job
        document["job"] = {"id": job.id, "spider": job.spider, "arguments": job.arguments, "finished": job.finished}
        document["dead_letters"] = [from_letter(letter) for letter in look.letters.whole()]
    return document


def _states(look: JobView) -> Iterator[dict[str, Any]]:
    names: dict[str, list[str]] = {}
    for task_type, name in points(look):
        names.setdefault(task_type, []).append(name)
    for state in states(look):
        told = state.to_dict()
        for point, name in zip(told["resume_points"], names.get(state.task_type, []), strict=True):
            if name:
                point["name"] = name
        yield told


# -- in ----------------------------------------------------------------------------------------------------------


def _import(call: CommandContext) -> int:
    document, source = _read(call.options.file), call.options.file
    try:
        taken = _take_in(call, document)
    except FormatError as error:
        raise FormatError(f"{source}: {error}. Nothing was taken in", error.field) from None
    for line in taken.lines():
        call.terminal.print_line(line)
    return OK


def _take_in(call: CommandContext, document: Any) -> ImportSummary:
    if call.options.create and not (call.directory / "t8" / "state.db").exists():
        return _into_service(call.directory, document)
    with call.view() as look:
        of_service = look.is_service
    if of_service:
        return _into_service(call.directory, document)
    return taken_in(call, document)


def _into_service(directory: Path, document: Any) -> ImportSummary:
    states = document.get("states") if isinstance(document, dict) else None
    if states is not None and "dead_letters" in document:
        left = len(document["dead_letters"])
        return ImportSummary(
            **take_in(directory, {"version": document.get("version", VERSION), "states": states}), left=left
        )
    return ImportSummary(**take_in(directory, document))


def _read(name: str) -> Any:
    try:
        text = sys.stdin.read() if name == STDOUT else Path(name).read_text(encoding="utf-8-sig")
        return json.loads(text)
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{name} is no JSON: {error}. Nothing was taken in") from None


def _arguments_of_export(parser: argparse.ArgumentParser) -> None:
    help_ = "the file, made anew; - is standard output (default)"
    parser.add_argument("-o", "--output", dest="file", metavar="FILE", default=STDOUT, help=help_)


def _arguments_of_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="JSON of export, or of the earlier module; - is standard input")
    parser.add_argument("--create", action="store_true", help="make the state of a service if there is none")


COMMANDS = (
    Command(
        "export",
        "Write the whole state as JSON.",
        (("export -o state.json", "to a file"), ("export --jobdir jobs/cars | jq .states", "to standard output")),
        _arguments_of_export,
        _export,
        about="Resume points, failed tasks, run states; and dead letters of a crawl, with secrets and all that it has "
        "sent: the file is readable by you alone.",
    ),
    Command(
        "import",
        "Take in JSON state, all or nothing.",
        (
            ("import state.json", "what export has written"),
            ("import old.json --jobdir data/state --create", "state of the earlier module, for a service"),
        ),
        _arguments_of_import,
        _import,
        about=f"What is there already stays: what is newer, or has the same id. {CHANGES}",
    ),
)
