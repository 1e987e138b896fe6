"""``scrapy t8 points ...``: the resume points of a job."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from typing import Any

from scrapy_t8.commands.status.status import when
from scrapy_t8.core.offline.resume_points import record_of
from scrapy_t8.errors import CommandError, T8Error
from scrapy_t8.model.resume_point import ResumePoint
from scrapy_t8.utils.checked import checked_metadata, checked_text
from scrapy_t8.utils.times import moment

from .context import CommandContext, Points
from .registry import CHANGES, ERROR, OK, YES, Command, argument, command, flag

PLACE = ("current_page", "last_cursor", "last_slug", "total_processed")
COLUMNS = ("*task type", "*name", "#page", "*cursor", "*slug", "#processed", "?last update", "?*metadata")


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"not a whole number of at least 0: {text!r}")
    return int(text)


def _metadata(text: str) -> dict[str, Any]:
    try:
        return checked_metadata(json.loads(text))
    except (ValueError, RecursionError, T8Error) as error:
        raise argparse.ArgumentTypeError(f"not a JSON object: {text!r:.80}: {error}") from None


KEY = (
    argument("task_type", metavar="TASK_TYPE", help="as LIST_COLLECTION"),
    argument("--name", help="where there are several of one task type"),
)


@command(
    "list",
    argument("task_type", nargs="?", metavar="TASK_TYPE", help="only those of this task type"),
    has_json=True,
)
def _list(call: CommandContext) -> int:
    """The resume points of a job.

    points list  # all of them
    points list LIST_COLLECTION --json  # of one task type, as JSON
    """
    with call.view() as look:
        found = look.points()
    if call.options.task_type:
        found = {key: point for key, point in found.items() if key[0] == call.options.task_type}
    documents = [{"name": name, **point.to_dict()} for (_, name), point in found.items()]
    if call.options.json:
        call.terminal.print_json({"version": 1, "points": documents})
    elif documents:
        call.terminal.print_table("Resume points", COLUMNS, map(_cells, documents))
    else:
        call.terminal.print_line("There are no resume points.")
    return OK


def _cells(point: dict[str, Any]) -> tuple[Any, ...]:
    metadata = json.dumps(point["metadata"], ensure_ascii=False) if point["metadata"] else ""
    place = (point[name] for name in ("task_type", "name", *PLACE))
    return (*place, when(point["last_update"]), metadata)


@command(
    "set",
    *KEY,
    argument(
        "--page", dest="current_page", type=_number, metavar="N", help="the last page that is done; 0 before the first"
    ),
    argument("--cursor", dest="last_cursor", metavar="TEXT", help="what leads to the next page"),
    argument("--slug", dest="last_slug", metavar="TEXT", help="the last one that is done"),
    argument("--processed", dest="total_processed", type=_number, metavar="N", help="how much was done so far"),
    argument("--metadata", type=_metadata, metavar="JSON", help="an object, in the place of what is there"),
    note=CHANGES,
)
def _set(call: CommandContext) -> int:
    """Set where work resumes.

    points set LIST_COLLECTION --page 12  # after page 12
    points set LIST_COLLECTION --name new --cursor abc  # one of several of this task type

    Values that are not given stay as they are.
    """
    options, terminal = call.options, call.terminal
    checked_text("task_type", options.task_type)
    with call.view() as look:
        found, of_service, finished = look.points(), look.is_service, look.job.finished
    name = _name(found, options.task_type, options.name)
    point = _changed(found.get((options.task_type, name)) or ResumePoint(options.task_type), options)
    with call.open_for_changes(is_service=of_service) as owned:
        owned.points.put(record_of(point, name))
    terminal.print_line(f"The resume point {_label(options.task_type, name)} is set: {json.dumps(point.to_dict())}")
    if not of_service and not finished:
        note = "The job is not finished: it resumes from its frontier. The point counts for the next job."
        terminal.print_line(note)
    return OK


def _changed(point: ResumePoint, options: argparse.Namespace) -> ResumePoint:
    given = {name: getattr(options, name) for name in (*PLACE, "metadata")}
    changes = {name: value for name, value in given.items() if value is not None}
    if not changes:
        raise CommandError("name what to set: --page, --cursor, --slug, --processed or --metadata")
    return replace(point, **changes, last_update=moment(time.time()))


@command(
    "delete",
    *KEY,
    flag("--all", text="all of this task type"),
    YES,
    note=CHANGES,
    statuses={ERROR: "it could not be done, or you said no"},
)
def _delete(call: CommandContext) -> int:
    """Delete resume points: their work starts again.

    points delete LIST_COLLECTION  # the only one of this task type
    points delete LIST_COLLECTION --all --yes  # all of them, without a question

    The command asks first.
    """
    options, terminal = call.options, call.terminal
    with call.view() as look:
        found, of_service = look.points(), look.is_service
    if options.all:
        names = [name for task_type, name in found if task_type == options.task_type]
    else:
        names = [_name(found, options.task_type, options.name)]
    if not names or (options.task_type, names[0]) not in found:
        raise CommandError(f"there is no resume point {_label(options.task_type, options.name or '')}: see points list")
    what = ", ".join(_label(options.task_type, name) for name in names)
    question = f"Delete the resume point {what}? That work begins at its beginning."
    if not terminal.confirm(question, yes=options.yes):
        return ERROR
    with call.open_for_changes(is_service=of_service) as owned:
        gone = [name for name in names if owned.points.drop(options.task_type, name)]
    terminal.print_line(f"{len(gone)} deleted: {what}")
    return OK


def _name(found: Points, task_type: str, name: str | None) -> str:
    """Return *name*, or the name of the only point of *task_type*. Several points without a *name* are an error."""
    if name is not None:
        return name
    names = [known for kind, known in found if kind == task_type]
    if len(names) > 1:
        raise CommandError(f"there are several resume points {task_type}: give --name, one of {names}")
    return names[0] if names else ""


def _label(task_type: str, name: str) -> str:
    return f"{task_type} {name!r}" if name else task_type


COMMANDS = (
    Command(
        "points",
        "Resume points: list, set, delete.",
        (
            ("points list", "where is each piece of work?"),
            ("points set LIST_COLLECTION --page 12", "the next job begins after page 12"),
        ),
        family=(_list, _set, _delete),
    ),
)
