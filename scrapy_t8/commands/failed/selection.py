"""The filters of the commands of ``failed``, and the dead letters or failed tasks that they choose."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from scrapy_t8.commands.context import JobView
from scrapy_t8.core.retry.failure import KINDS
from scrapy_t8.errors import CommandError
from scrapy_t8.model.attempts import ScheduledRetry
from scrapy_t8.model.codec import Codec
from scrapy_t8.model.dead_letter import DeadLetter, LetterFilter
from scrapy_t8.model.failed_task import FailedTask, task_of_letter, task_of_waiting
from scrapy_t8.report.document import iso
from scrapy_t8.utils.times import parse_time

ALL_KINDS = (*KINDS, "crash", "callback", "class", "payload")
"""Kinds of failures, with those of requests that a run could not even start."""
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
OF_CRAWLS = ("host", "callback", "status", "job")  # Filters that do not apply to the tasks of a service
OF_LETTERS = ("callback", "status", "job")  # Filters that do not apply to requests that wait
NAMES = ("ids", "kind", *OF_CRAWLS, "task_type", "text", "since", "until", "state")  # All filters but the limit
WAITING, DEAD = "waiting", "dead"
HEAD = "id kind error status url host callback task_type target buried_at job spider".split()


class Task(NamedTuple):
    """A failed task of a service, or a request of a crawl that waits: a dead letter, or an entry that waits."""

    task: FailedTask
    letter: int | None
    waiting: ScheduledRetry | None = None
    host: str | None = None  # Of a request

    @property
    def state(self) -> str:
        return WAITING if self.letter is None else DEAD

    def to_dict(self) -> dict[str, Any]:
        host = {} if self.host is None else {"host": self.host}
        return {"state": self.state, "letter": self.letter, **self.task.to_dict(), **host}


def are_tasks(view: JobView, options: argparse.Namespace) -> bool:
    """Whether the list is one of tasks: those of a service, or the requests of a crawl that wait for a retry."""
    return view.is_service or options.state == WAITING


def count(view: JobView, options: argparse.Namespace) -> int:
    """Return how many the filters choose, whatever the limit."""
    if are_tasks(view, options):
        return sum(1 for _ in _tasks(view, options))
    return view.letters.count(checked_filter(view, options))


def rows(view: JobView, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Return each chosen letter or task as a JSON object."""
    if are_tasks(view, options):
        return (task.to_dict() for task in tasks(view, options))
    return (
        {name: getattr(letter, name) for name in HEAD} | {"buried_at": iso(letter.buried_at)}
        for letter in letters(view, options)
    )


def letters(view: JobView, options: argparse.Namespace) -> Iterator[DeadLetter]:
    """Return the chosen letters of a crawl, without their bodies."""
    return islice(view.letters.heads(checked_filter(view, options)), options.limit)


def tasks(view: JobView, options: argparse.Namespace) -> Iterator[Task]:
    """Return the chosen tasks of a service, or requests of a crawl that wait."""
    return islice(_tasks(view, options), options.limit)


def checked_filter(view: JobView, options: argparse.Namespace) -> LetterFilter:
    """Return which dead letters of a crawl the options choose.

    A filter for tasks, or a kind or a number that does not exist, is an error of the user.
    """
    if options.state == WAITING:
        raise CommandError("requests of a crawl that wait can only be looked at: failed list, show, groups, export")
    same = {name: getattr(options, name) for name in ("kind", "task_type", "text", *OF_CRAWLS)}
    ids = tuple(map(_number, getattr(options, "ids", ()))) or None
    which = LetterFilter(**same, newer_than=options.since, older_than=options.until, ids=ids)
    letters = view.letters
    if which.kind is not None and which.kind not in ALL_KINDS and not letters.count(LetterFilter(kind=which.kind)):
        raise CommandError(f"there is no kind of failure {which.kind!r}: {', '.join(ALL_KINDS)}")
    missing = [str(number) for number in which.ids or () if not letters.count(LetterFilter(ids=(number,)))]
    if missing:
        raise CommandError(f"there is no dead letter {', '.join(missing)}: 'scrapy t8 failed list' shows all")
    return which


def _tasks(view: JobView, options: argparse.Namespace) -> Iterator[Task]:
    matches = task_filter(options, is_service=view.is_service)
    if options.state != DEAD and (options.kind is None or not view.is_service):
        for waiting in view.reader.all_waiting():
            host = None if view.is_service else waiting.slot
            task = task_of_waiting(waiting, view.job.id, Codec().envelope(waiting.payload)[0])
            is_chosen = view.is_service or (
                options.host in (None, host) and options.kind in (None, task.metadata["kind"])
            )
            if is_chosen and matches(task, WAITING):
                yield Task(task, None, waiting, host)
    if options.state != WAITING:
        for letter in view.letters.whole(LetterFilter(kind=options.kind)):
            task = task_of_letter(letter)
            if matches(task, DEAD):
                yield Task(task, letter.id)


def add_filters(parser: argparse.ArgumentParser, *, ids: bool = True) -> None:
    """Add the filters to *parser*, with *ids* those that name single letters or tasks."""
    group = parser.add_argument_group("which (all filters that are given must match)")
    if ids:
        group.add_argument("ids", nargs="*", metavar="ID", help="the number of a dead letter, or the id of a task")
    group.add_argument("--kind", help="kind of failure: network, host, http, parse, ...")
    group.add_argument("--host", help="host of the URL")
    group.add_argument("--callback", metavar="NAME", help="method of the spider")
    group.add_argument("--status", type=int, metavar="CODE", help="HTTP status of the response")
    group.add_argument("--task-type", metavar="TYPE", help="task type, such as DETAIL_COLLECTION")
    group.add_argument("--text", help="part of the error, the URL or the target, in any case")
    group.add_argument("--since", type=ago, metavar="WHEN", help="failed since: 2h, 3d, or a time in ISO 8601")
    group.add_argument("--until", type=ago, metavar="WHEN", help="failed before: the same forms")
    group.add_argument("--job", metavar="ID", help="id of the job; the box also has dead letters of earlier jobs")
    group.add_argument("--state", choices=(WAITING, DEAD), help="what waits for its next try, or was given up")
    group.add_argument(
        "--waiting", dest="state", action="store_const", const=WAITING, help="the same as --state waiting"
    )
    group.add_argument("--limit", type=positive, metavar="N", help="at most so many, the oldest first")


def ago(text: str) -> float:
    """Return how many seconds ago a time was, given as 90s, 30m, 2h, 3d, 1w or in ISO 8601."""
    span = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text.strip())
    if span:
        return float(span[1]) * UNITS[span[2]]
    try:
        # A time without an offset is local time.
        moment = parse_time(text.strip(), local=True)
    except ValueError:
        message = f"invalid time {text!r}: give 90s, 30m, 2h, 3d, 1w, or a time in ISO 8601, such as 2026-01-15T10:30"
        raise argparse.ArgumentTypeError(message) from None
    return time.time() - moment.timestamp()


def positive(text: str) -> int:
    """Return *text* as a positive integer."""
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"not a positive integer: {text!r}")
    return int(text)


def task_filter(options: argparse.Namespace, *, is_service: bool) -> Callable[[FailedTask, str], bool]:
    """Return a function that decides whether the options choose a task in a given state.

    A filter that does not apply to tasks of a service, or to requests that wait, is an error.
    """
    for name in OF_CRAWLS if is_service else OF_LETTERS:
        if getattr(options, name) is not None:
            what = "requests of a crawl, and this is the state of a service" if is_service else "dead letters alone"
            raise CommandError(f"--{name} is about {what}")
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
