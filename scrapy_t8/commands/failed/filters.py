"""Which dead letters or tasks are meant: the filters that commands of ``failed`` take."""

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
OF_CRAWLS = ("host", "callback", "status")
"""Filters that a task of a service has nothing for."""
STATES = ("waiting", "dead")


def add_filters(parser: argparse.ArgumentParser, *, ids: bool = True) -> None:
    """Add the filters to *parser*.

    :param ids: whether single letters or tasks can be named.
    """
    group = parser.add_argument_group("which (all that is given must hold)")
    if ids:
        group.add_argument("ids", nargs="*", metavar="ID", help="the number of a dead letter, or the id of a task")
    group.add_argument("--kind", help="of the failure: http, network, timeout, parse, ...")
    group.add_argument("--host", help="of the URL")
    group.add_argument("--callback", metavar="NAME", help="the method of the spider")
    group.add_argument("--status", type=int, metavar="CODE", help="of the HTTP response")
    group.add_argument("--task-type", metavar="TYPE", help="as DETAIL_COLLECTION")
    group.add_argument("--text", help="a part of the error, the URL or the target, in any case")
    group.add_argument("--since", type=ago, metavar="WHEN", help="failed since: 2h, 3d, or a time in ISO 8601")
    group.add_argument("--until", type=ago, metavar="WHEN", help="failed before, the same")
    group.add_argument("--job", metavar="ID", help="of this job: the box outlives jobs")
    group.add_argument("--state", choices=STATES, help="of a service: only tasks that wait, or that are dead")
    group.add_argument("--limit", type=count, metavar="N", help="so many at the most, the oldest first")


def ago(text: str) -> float:
    """How many seconds ago a time is, that was given as such a number or in ISO 8601."""
    span = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text.strip())
    if span:
        return float(span[1]) * UNITS[span[2]]
    try:
        moment = parse_time(text.strip(), local=True)
    except ValueError:
        told = f"{text!r} is no time: give 90s, 30m, 2h, 3d, 1w, or one in ISO 8601, as 2026-01-15T10:30"
        raise argparse.ArgumentTypeError(told) from None
    # Without an offset it is that of the clock on the wall: it was typed here.
    return time.time() - moment.timestamp()


def count(text: str) -> int:
    """How many, of what there is to be one at least."""
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return int(text)


def which_letters(options: argparse.Namespace) -> LetterFilter:
    """The choice of dead letters that was given, but for names of single ones of a service.

    :raises CommandError: for a number that is none, or a filter that says nothing of letters.
    """
    if options.state is not None:
        raise CommandError("--state is about tasks of a service, and here is the state of a crawl")
    return LetterFilter(
        kind=options.kind,
        host=options.host,
        callback=options.callback,
        status=options.status,
        task_type=options.task_type,
        text=options.text,
        newer_than=options.since,
        older_than=options.until,
        job=options.job,
        ids=tuple(map(_number, getattr(options, "ids", ()))) or None,
    )


def which_tasks(options: argparse.Namespace) -> Callable[[FailedTask, str], bool]:
    """Whether a task of a service and its state are meant.

    :raises CommandError: for a filter that says nothing of tasks.
    """
    for name in (*OF_CRAWLS, "job"):
        if getattr(options, name) is not None:
            raise CommandError(f"--{name} is about requests of a crawl, and here is the state of a service")
    since = None if options.since is None else time.time() - options.since
    until = None if options.until is None else time.time() - options.until
    ids, text = set(getattr(options, "ids", ())), (options.text or "").casefold()

    def meant(task: FailedTask, state: str) -> bool:
        created = task.created_at.timestamp()
        return (
            (not ids or task.task_id in ids)
            and options.task_type in (None, task.task_type)
            and options.state in (None, state)
            and (not text or text in task.error_message.casefold() or text in task.target.casefold())
            and (since is None or created >= since)
            and (until is None or created <= until)
        )

    return meant


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise CommandError(f"{text!r} is no number of a dead letter: 'scrapy t8 failed list' tells these")
    return int(text)
