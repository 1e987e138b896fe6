"""The filters of the commands of ``failed``: which dead letters or tasks are meant."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable

from scrapy_t8.errors import CommandError
from scrapy_t8.model.dead_letter import LetterFilter
from scrapy_t8.model.failed_task import FailedTask
from scrapy_t8.utils.times import parse_time

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
OF_CRAWLS = ("host", "callback", "status", "job")
"""Filters that do not apply to the tasks of a service."""
NAMES = ("ids", "kind", *OF_CRAWLS, "task_type", "text", "since", "until", "state")
"""All filters but the limit."""
WAITING, DEAD = "waiting", "dead"


def add_filters(parser: argparse.ArgumentParser, *, ids: bool = True) -> None:
    """Add the filters to *parser*.

    :param ids: whether single letters or tasks can be named.
    """
    group = parser.add_argument_group("which (all filters that are given must match)")
    if ids:
        group.add_argument("ids", nargs="*", metavar="ID", help="the number of a dead letter, or the id of a task")
    group.add_argument("--kind", help="kind of failure: http, network, timeout, parse, ...")
    group.add_argument("--host", help="host of the URL")
    group.add_argument("--callback", metavar="NAME", help="method of the spider")
    group.add_argument("--status", type=int, metavar="CODE", help="HTTP status of the response")
    group.add_argument("--task-type", metavar="TYPE", help="task type, such as DETAIL_COLLECTION")
    group.add_argument("--text", help="part of the error, the URL or the target, in any case")
    group.add_argument("--since", type=ago, metavar="WHEN", help="failed since: 2h, 3d, or a time in ISO 8601")
    group.add_argument("--until", type=ago, metavar="WHEN", help="failed before: the same forms")
    group.add_argument("--job", metavar="ID", help="id of the job; the box also has dead letters of earlier jobs")
    group.add_argument(
        "--state", choices=(WAITING, DEAD), help="tasks that wait, or are dead; list shows what waits of a crawl, too"
    )
    group.add_argument("--limit", type=count, metavar="N", help="at most so many, the oldest first")


def ago(text: str) -> float:
    """Return how many seconds ago a time was, given as 90s, 30m, 2h, 3d, 1w or in ISO 8601."""
    span = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text.strip())
    if span:
        return float(span[1]) * UNITS[span[2]]
    try:
        # A time without an offset was typed by somebody who looks at the clock of this machine.
        moment = parse_time(text.strip(), local=True)
    except ValueError:
        message = f"invalid time {text!r}: give 90s, 30m, 2h, 3d, 1w, or a time in ISO 8601, such as 2026-01-15T10:30"
        raise argparse.ArgumentTypeError(message) from None
    return time.time() - moment.timestamp()


def count(text: str) -> int:
    """Return *text* as a positive integer."""
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"not a positive integer: {text!r}")
    return int(text)


def letter_filter(options: argparse.Namespace) -> LetterFilter:
    """Return which dead letters of a crawl the options choose.

    :raises CommandError: for an id that is not a number, or a filter that applies to tasks only.
    """
    if options.state is not None:
        raise CommandError("--state is about tasks of a service, and this is the state of a crawl")
    same = {name: getattr(options, name) for name in ("kind", "task_type", "text", *OF_CRAWLS)}
    ids = tuple(map(_number, getattr(options, "ids", ()))) or None
    return LetterFilter(**same, newer_than=options.since, older_than=options.until, ids=ids)


def task_filter(options: argparse.Namespace) -> Callable[[FailedTask, str], bool]:
    """Return a function that tells whether the options choose a task of a service in a given state.

    :raises CommandError: for a filter that applies to requests of a crawl only.
    """
    for name in OF_CRAWLS:
        if getattr(options, name) is not None:
            raise CommandError(f"--{name} is about requests of a crawl, and this is the state of a service")
    since = None if options.since is None else time.time() - options.since
    until = None if options.until is None else time.time() - options.until
    ids, text = set(getattr(options, "ids", ())), (options.text or "").casefold()

    def matches(task: FailedTask, state: str) -> bool:
        created = task.created_at.timestamp()
        return (
            (not ids or task.task_id in ids)
            and options.task_type in (None, task.task_type)
            and options.state in (None, state)
            and (not text or text in task.error_message.casefold() or text in task.target.casefold())
            and (since is None or created >= since)
            and (until is None or created <= until)
        )

    return matches


def is_filtered(options: argparse.Namespace) -> bool:
    """Whether any filter is given."""
    return any(getattr(options, name, None) not in (None, []) for name in NAMES)


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise CommandError(f"not the number of a dead letter: {text!r}. 'scrapy t8 failed list' shows the numbers")
    return int(text)
