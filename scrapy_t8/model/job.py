"""A job, its runs and its ledger."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import field
from typing import Any, NamedTuple

from scrapy_t8.utils.classes import record_class

from .entry import Entry

SERVICE = "t8-service"  # The spider's name in the job of a service
SKIP = "skip_finished"  # The store keeps the setting of the last run under this name, for reports


class PastJob(NamedTuple):
    """A job that has ended. It is *good* if it was finished and complete."""

    id: str
    number: int
    spider: str
    begun: float
    ended: float
    items: int
    good: bool


class Run(NamedTuple):
    """One process's turn at a job. Times are Unix seconds; ``ended`` is None for a run that died."""

    id: int
    started: float
    ended: float | None = None
    reason: str | None = None
    last_commit: float | None = None


@record_class(slots=True)
class Ledger:
    """The accounts of a job, which balance at every commit.

    Requests: ``admitted == done + discarded + dead + frontier``, the frontier being ready, waiting and leased.
    Items: ``scraped == exported + duplicate + dropped + failed``, counted where they enter and leave the pipelines.
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
    changed: int = 0  # Exported items whose key was exported before with another content
    again: int = 0  # Items scraped by this job that earlier jobs had exported
    invalid: int = 0  # Exported items that failed validation

    def difference(self, frontier: int) -> int:
        """Return by how much the account of requests is out of balance."""
        return self.admitted - self.done - self.discarded - self.dead - frontier

    @property
    def item_difference(self) -> int:
        """By how much the account of items is out of balance."""
        return self.scraped - self.exported - self.duplicate - self.dropped - self.failed


@record_class(slots=True)
class JobRecord:
    """One crawl across restarts: its identity and its progress."""

    id: str
    spider: str
    arguments: dict[str, Any]
    begun: float
    finished: bool = False
    start_done: bool = False
    next_seq: int = 1
    ledger: Ledger = field(default_factory=Ledger)
    follows: str = ""  # The id of the finished job in the same directory that this job repeats
    number: int = 1  # The number of the job in its directory, from 1
    policy: str = "first"  # Which of several items with the same key stays. It decides how feeds are written
    commits: int = 0  # How many commits the job has made
    ended: float = 0.0  # When the job has finished; 0 before
    left: int = 0  # Requests that were never tried, and left on purpose
    left_for: str = ""  # The close reason for which they were left, one of T8_DONE_REASONS
    unreported: bool = False  # Whether the run that has finished the job may have died before its report was written
    doubt: str = ""  # Why the books of the job prove nothing; empty if they do

    def leave(self, count: int, reason: str) -> None:
        """Record that *count* more requests are left on purpose, for the close reason *reason*."""
        self.left += count
        self.left_for = reason


class Recovery(NamedTuple):
    """What a new run found: the job, its last run, and the number of entries in flight when that run died."""

    job: JobRecord
    run: int
    last_run: Run | None = None
    recovered: int = 0
    crashed: Sequence[Entry] = ()  # The entries during which the process has died at least as often as the crash limit


class Identity(NamedTuple):
    """The spider of a crawl and its arguments, in a form that can be stored and compared; None: they are not known.

    Arguments that differ in each run tell no jobs apart: those whose name begins with ``_``, as Scrapyd's ``_job``,
    and those that are *ignored*.
    """

    spider: str
    arguments: dict[str, Any] | None
    ignored: Collection[str] = ()

    @classmethod
    def of(cls, spider: str, arguments: dict[str, Any] | None, ignored: Collection[str] = ()) -> Identity:
        """Return the identity of a spider with these *arguments*. An object among them is represented by its type."""
        if arguments is None:
            return cls(spider, None, ignored)
        comparable = json.dumps(arguments, default=lambda value: type(value).__qualname__, sort_keys=True)
        return cls(spider, _telling(json.loads(comparable), ignored), ignored)

    def owns(self, job: JobRecord) -> bool:
        """Whether *job* was begun with this spider and these arguments."""
        return self.spider == job.spider and self.arguments in (None, _telling(job.arguments, self.ignored))

    def take_over(self, job: JobRecord) -> None:
        """Make *job* one of this spider and these arguments."""
        job.spider = self.spider
        if self.arguments is not None:
            job.arguments = self.arguments

    def difference(self, job: JobRecord) -> str:
        """Return, in words, how this identity differs from that of *job*."""
        if self.spider != job.spider:
            return f"spider {job.spider!r}, not {self.spider!r}"
        before, now = _telling(job.arguments, self.ignored), self.arguments or {}
        values = {name: (before.get(name), now.get(name)) for name in sorted({*before, *now})}
        changes = (f"{name} was {old!r}, is {new!r}" for name, (old, new) in values.items() if old != new)
        return f"other spider arguments: {', '.join(changes)}"


def _telling(arguments: dict[str, Any], ignored: Collection[str]) -> dict[str, Any]:
    """Return the *arguments* that tell one job from another."""
    return {name: value for name, value in arguments.items() if not name.startswith("_") and name not in ignored}
