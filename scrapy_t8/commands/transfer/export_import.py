"""``scrapy t8 export`` and ``import``: the whole state as JSON, out and in."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from scrapy_t8.commands.console import json_text
from scrapy_t8.commands.context import CommandContext, JobView
from scrapy_t8.commands.registry import CHANGES, OK, argument, command, flag, output
from scrapy_t8.config.settings import from_dict
from scrapy_t8.errors import CommandError, FormatError
from scrapy_t8.model.json_document import VERSION
from scrapy_t8.service import StateManager
from scrapy_t8.service.import_export import export_document
from scrapy_t8.utils.files import STDOUT, writing

from .crawl_import import ImportSummary, from_letter, import_into_crawl

LIMITS = ("failed_task_ttl", "resume_point_ttl", "max_failed_tasks", "max_resume_points")
NO_LIMITS = dict.fromkeys(LIMITS, 1 << 40)
"""With these nothing is pruned: how much a state may hold is for its own service to say."""


@command("export", output("the file, made anew; - is standard output (default)"))
def _export(call: CommandContext) -> int:
    """Write the whole state as JSON.

    export -o state.json  # to a file
    export --jobdir jobs/cars | jq .states  # to standard output

    Resume points, failed tasks, run states; and dead letters of a crawl, with secrets and all that it has sent: the
    file is readable by you alone.
    """
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
    document = export_document(look.states(), look.points())
    if not look.is_service:
        job = look.job
        document["job"] = {"id": job.id, "spider": job.spider, "arguments": job.arguments, "finished": job.finished}
        document["dead_letters"] = [from_letter(letter) for letter in look.letters.whole()]
    return document


@command(
    "import",
    argument("file", metavar="FILE", help="JSON of export, or of the earlier module; - is standard input"),
    flag("--create", text="make the state of a service if there is none"),
    note=CHANGES,
)
def _import(call: CommandContext) -> int:
    """Import JSON state, all or nothing.

    import state.json  # what export has written
    import old.json --jobdir data/state --create  # state of the earlier module, for a service

    The import replaces nothing that is newer, or has the same id.
    """
    document, source = _read(call.options.file), call.options.file
    try:
        summary = _import_document(call, document)
    except FormatError as error:
        raise FormatError(f"{source}: {error}. Nothing was imported", error.field) from None
    for line in summary.lines():
        call.terminal.print_line(line)
    return OK


def _import_document(call: CommandContext, document: Any) -> ImportSummary:
    if call.options.create and not (call.directory / "t8" / "state.db").exists():
        return import_into_service(call.directory, document)
    with call.view() as look:
        is_service = look.is_service
    return (import_into_service if is_service else import_into_crawl)(call.directory, document)


def import_into_service(directory: Path, document: Any) -> ImportSummary:
    """Import *document* into the service state in *directory*, made if there is none: all of it, or nothing."""
    left = 0
    if isinstance(document, dict) and "states" in document and isinstance(document.get("dead_letters"), list):
        left = len(document["dead_letters"])
        document = {"version": document.get("version", VERSION), "states": document["states"]}
    with closing(StateManager(from_dict({**NO_LIMITS, "state_dir": str(directory)}))) as manager:
        return ImportSummary(**manager.import_state(document), left=left)


def _read(name: str) -> Any:
    try:
        text = sys.stdin.read() if name == STDOUT else Path(name).read_text(encoding="utf-8-sig")
        return json.loads(text)
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{name} is not JSON: {error}. Nothing was imported") from None


COMMANDS = (_export, _import)
