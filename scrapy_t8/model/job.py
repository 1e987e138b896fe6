"""A job, its runs and its ledger."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .entry import Entry


@dataclass(frozen=True, slots=True)
class PastJob:
    """A job that has ended.

    :param good: it had finished, and nothing was missing.
    """

    id: str
    number: int
    spider: str
    begun: float
    ended: float
    items: int
    good: bool


SERVICE = "t8-service"
"""In the place of a spider's name where a job is that of a service."""


@dataclass(frozen=True, slots=True)
class Run:
    """One process's turn at a job. Times are Unix seconds; ``ended`` is None for a run that died."""

    id: int
    started: float
    ended: float | None = None
    reason: str | None = None
    last_commit: float | None = None


@dataclass(slots=True)
class Ledger:
    """The books: ``admitted == done + discarded + dead + frontier``, at every commit.

    The frontier is what is ready, waiting or leased. And of items: ``scraped == exported + duplicate + dropped +
    failed``, counted where they enter the pipelines and where they leave them.
    """

    admitted: int = 0
    done: int = 0
    discarded: int = 0
    dead: int = 0
    scraped: int = 0
    exported: int = 0
    duplicate: int = 0
    dropped: int = 0
    failed: int = 0
    changed: int = 0
    """Those of the exported that had been there before with another content."""
    again: int = 0
    """Items that earlier jobs had exported, and that were there again."""
    invalid: int = 0
    """Those of the exported that are not as they should be."""

    def difference(self, frontier: int) -> int:
        return self.admitted - self.done - self.discarded - self.dead - frontier

    @property
    def item_difference(self) -> int:
        return self.scraped - self.exported - self.duplicate - self.dropped - self.failed


@dataclass(slots=True)
class JobRecord:
    """One crawl across restarts: what identifies it and how far it is."""

    id: str
    spider: str
    arguments: dict[str, Any]
    begun: float
    finished: bool = False
    start_done: bool = False
    next_seq: int = 1
    ledger: Ledger = field(default_factory=Ledger)
    follows: str = ""
    """The id of the job that had finished when this one, the same crawl again, began."""
    number: int = 1
    """Which job of this directory it is."""
    policy: str = "first"
    """Which of several items with one key stays: it decides on how feeds are written."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a start found: the job, its last run, the entries that were in flight when that run died."""

    job: JobRecord
    run: int
    last_run: Run | None = None
    recovered: int = 0
    crashed: Sequence[Entry] = ()
    """Those that the process has died of as often as it may, or more."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who crawls here.

    :param arguments: the spider's, in a form that can be stored and compared; None where they cannot be told.
    """

    spider: str
    arguments: dict[str, Any] | None

    @classmethod
    def of(cls, spider: str, arguments: dict[str, Any] | None) -> Identity:
        if arguments is None:
            return cls(spider, None)
        # Of an object, its type must do.
        plain = json.dumps(arguments, default=lambda value: type(value).__qualname__, sort_keys=True)
        return cls(spider, json.loads(plain))

    def owns(self, job: JobRecord) -> bool:
        """Whether *job* is ours to go on with."""
        return self.spider == job.spider and self.arguments in (None, job.arguments)

    def take_over(self, job: JobRecord) -> None:
        """From now on *job* is ours."""
        job.spider = self.spider
        if self.arguments is not None:
            job.arguments = self.arguments

    def difference(self, job: JobRecord) -> str:
        """In words, what *job* was begun with and we are not."""
        if self.spider != job.spider:
            return f"spider {job.spider!r}, not {self.spider!r}"
        before, now = job.arguments, self.arguments or {}
        names = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
        return "other spider arguments: " + ", ".join(
            f"{name} was {before.get(name)!r}, is {now.get(name)!r}" for name in names
        )
