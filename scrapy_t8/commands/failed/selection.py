"""The dead letters of a crawl, or the failed tasks of a service, that the filters choose."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from scrapy_t8.commands.context import JobView
from scrapy_t8.core.offline.dead_letters import AT_ONCE
from scrapy_t8.core.retry.failure import KINDS
from scrapy_t8.errors import CommandError
from scrapy_t8.model.codec import Codec
from scrapy_t8.model.dead_letter import DeadLetter, LetterFilter
from scrapy_t8.model.failed_task import FailedTask, task_of_letter, task_of_waiting
from scrapy_t8.report.document import iso

from .filters import DEAD, WAITING, letter_filter, task_filter

ALL_KINDS = (*KINDS, "crash", "callback", "class", "payload")
"""Kinds of failures, with those of requests that a run could not even start."""
HEAD = ("kind", "error", "status", "url", "host", "callback", "task_type", "target")


@dataclass(frozen=True, slots=True)
class Task:
    """A failed task of a service: a dead letter, or an entry that waits."""

    task: FailedTask
    letter: int | None
    entry: int | None = None

    @property
    def state(self) -> str:
        return WAITING if self.letter is None else DEAD

    def to_dict(self) -> dict[str, Any]:
        return {"state": self.state, "letter": self.letter, **self.task.to_dict()}


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
    return map(_letter_row, letters(view, options))


def letters(view: JobView, options: argparse.Namespace) -> Iterator[DeadLetter]:
    """Return the chosen letters of a crawl, without their bodies."""
    return islice(_letters(view, checked_filter(view, options)), options.limit)


def tasks(view: JobView, options: argparse.Namespace) -> Iterator[Task]:
    """Return the chosen tasks of a service, or requests of a crawl that wait."""
    return islice(_tasks(view, options), options.limit)


def checked_filter(view: JobView, options: argparse.Namespace) -> LetterFilter:
    """Return the filter of letters.

    :raises CommandError: for a kind or a number that does not exist, which is a mistake of the user.
    """
    which, letters = letter_filter(options), view.letters
    if which.kind is not None and which.kind not in ALL_KINDS and not letters.count(LetterFilter(kind=which.kind)):
        raise CommandError(f"there is no kind of failure {which.kind!r}: {', '.join(ALL_KINDS)}")
    missing = [str(number) for number in which.ids or () if not letters.count(LetterFilter(ids=(number,)))]
    if missing:
        raise CommandError(f"there is no dead letter {', '.join(missing)}: 'scrapy t8 failed list' shows all")
    return which


def _letter_row(letter: DeadLetter) -> dict[str, Any]:
    head = {name: getattr(letter, name) for name in HEAD}
    return {"id": letter.id, **head, "buried_at": iso(letter.buried_at), "job": letter.job, "spider": letter.spider}


def _letters(view: JobView, which: LetterFilter) -> Iterator[DeadLetter]:
    last = 0
    while some := view.letters.list(which, AT_ONCE, last):
        yield from some
        last = some[-1].id


def _tasks(view: JobView, options: argparse.Namespace) -> Iterator[Task]:
    matches = task_filter(options)
    if options.state != DEAD and options.kind is None:
        for waiting in view.reader.all_waiting():
            task = task_of_waiting(waiting, view.job.id, Codec().envelope(waiting.payload)[0])
            if matches(task, WAITING):
                yield Task(task, None, waiting.id)
    if options.state != WAITING:
        for letter in view.letters.whole(LetterFilter(kind=options.kind)):
            task = task_of_letter(letter)
            if matches(task, DEAD):
                yield Task(task, letter.id)
