"""The dead letters of a crawl, or the failed tasks of a service, that filters have chosen."""

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
from scrapy_t8.model.dead_letter import DeadLetter, LetterFilter
from scrapy_t8.model.failed_task import FailedTask, task_of_letter, task_of_waiting
from scrapy_t8.report.document import time as iso

from .filters import which_letters, which_tasks

ALL_KINDS = (*KINDS, "crash", "callback", "class", "payload")
"""With those of requests that a run could not even begin with."""
WAITING, DEAD = "waiting", "dead"
HEAD = ("kind", "error", "status", "url", "host", "callback", "task_type", "target")


@dataclass(frozen=True, slots=True)
class Task:
    """A failed task of a service, and where it is: a dead letter, or an entry that waits."""

    task: FailedTask
    letter: int | None
    entry: int | None = None

    @property
    def state(self) -> str:
        return WAITING if self.letter is None else DEAD

    def told(self) -> dict[str, Any]:
        return {"state": self.state, "letter": self.letter, **self.task.to_dict()}


def count(look: JobView, options: argparse.Namespace) -> int:
    """How many filters choose, whatever the limit."""
    if look.of_service:
        return sum(1 for _ in _tasks(look, options))
    return look.letters.count(which(look, options))


def letters(look: JobView, options: argparse.Namespace) -> Iterator[DeadLetter]:
    """The chosen letters of a crawl, without their bodies."""
    return islice(_letters(look, which(look, options)), options.limit)


def tasks(look: JobView, options: argparse.Namespace) -> Iterator[Task]:
    """The chosen tasks of a service."""
    return islice(_tasks(look, options), options.limit)


def rows(look: JobView, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """What is chosen, each as a JSON object."""
    if look.of_service:
        return (task.told() for task in tasks(look, options))
    return map(told, letters(look, options))


def told(letter: DeadLetter) -> dict[str, Any]:
    """What the head of a letter says."""
    head = {name: getattr(letter, name) for name in HEAD}
    return {"id": letter.id, **head, "buried_at": iso(letter.buried_at), "job": letter.job, "spider": letter.spider}


def _letters(look: JobView, which: LetterFilter) -> Iterator[DeadLetter]:
    last = 0
    while some := look.letters.list(which, AT_ONCE, last):
        yield from some
        last = some[-1].id


def _tasks(look: JobView, options: argparse.Namespace) -> Iterator[Task]:
    meant = which_tasks(options)
    if options.state != DEAD and options.kind is None:
        for waiting in look.reader.all_waiting():
            task = task_of_waiting(waiting, look.job.id, "")
            if meant(task, WAITING):
                yield Task(task, None, waiting.id)
    if options.state != WAITING:
        for letter in look.letters.whole(LetterFilter(kind=options.kind)):
            task = task_of_letter(letter)
            if meant(task, DEAD):
                yield Task(task, letter.id)


def which(look: JobView, options: argparse.Namespace) -> LetterFilter:
    """The choice; one that nothing could ever meet is a mistake.

    :raises CommandError: for a kind, or the number of a letter, that there is not.
    """
    given, letters = which_letters(options), look.letters
    if given.kind is not None and given.kind not in ALL_KINDS and not letters.count(LetterFilter(kind=given.kind)):
        raise CommandError(f"there is no kind of failure {given.kind!r}: {', '.join(ALL_KINDS)}")
    missing = [str(number) for number in given.ids or () if not letters.count(LetterFilter(ids=(number,)))]
    if missing:
        raise CommandError(
            f"there is no dead letter {', '.join(missing)}: 'scrapy t8 failed list' tells which there are"
        )
    return given


__all__ = ["Task", "count", "iso", "letters", "rows", "tasks", "told", "which"]
