"""The records that pass between the rooms. What is stored is bytes; what is passed is one of these.

An entry's id is one integer: its queue in the high bits, its place in the push order in the low ones. So the ids of
a queue are a contiguous range, sorted as pushed, and no store needs a second index to find the next request.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .items import Expected, ItemKey, Loss

SEQ_BITS = 38
SEQ_MASK = (1 << SEQ_BITS) - 1

HISTORY = 20
"""Attempts of one request whose errors are kept."""

SERVICE = "t8-service"
"""In the place of a spider's name where a job is that of a service."""

START = 0
"""The id under which ``start()`` is the parent of what it yields."""


def entry_id(queue: int, seq: int) -> int:
    return (queue << SEQ_BITS) | seq


def queue_range(queue: int) -> tuple[int, int]:
    """The first and the last id that an entry of *queue* can have."""
    return queue << SEQ_BITS, ((queue + 1) << SEQ_BITS) - 1


def local_time(when: float | None) -> str:
    """Unix seconds as a person here reads them."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when))


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored request. ``story`` is what has become of it so far, as :meth:`Story.dumps` gives it."""

    id: int
    payload: bytes
    crashes: int = 0
    story: str | None = None


@dataclass(slots=True)
class Story:
    """What has become of a request in earlier attempts."""

    attempts: list[tuple[float, str, str]] = field(default_factory=list)
    """The latest failures: (Unix seconds, kind, error)."""
    counts: dict[str, int] = field(default_factory=dict)
    """Failures charged to it, by kind."""
    delivered: list[int] = field(default_factory=list)
    """Fingerprints of the records that are in the feeds although the page has failed."""
    task_type: str = ""
    target: str = ""
    max_retries: int = 0

    def add(self, when: float, kind: str, error: str, *, charged: bool) -> None:
        """One more attempt has failed."""
        self.attempts = [*self.attempts, (when, kind, error)][-HISTORY:]
        if charged:
            self.counts[kind] = self.counts.get(kind, 0) + 1

    @property
    def retries(self) -> int:
        """Failures charged so far, of all kinds."""
        return sum(self.counts.values())

    def dumps(self) -> str:
        return json.dumps({name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def loads(cls, text: str | None) -> Story:
        story = cls(**json.loads(text)) if text else cls()
        story.attempts = [(when, kind, error) for when, kind, error in story.attempts]
        return story


@dataclass(frozen=True, slots=True)
class Waiting:
    """An entry that failed and is due again later. Keeps the id that it had in its queue."""

    id: int
    due: float
    slot: str
    payload: bytes
    story: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An entry given up on, with why.

    :param entry: the id that it had in the frontier of its ``job``.
    :param payload: the stored request; empty if it ran from memory, and so cannot be revived.
    :param code: what the spider's code was then (a hash).
    :param story: its attempts, as :meth:`Story.dumps` gives them.
    :param detail: JSON: traceback, referer, depth, redirects and a sample of the body, as far as there are any.
    :param id: the number of the letter in the box; given by the store.
    """

    entry: int
    payload: bytes
    kind: str
    error: str
    buried_at: float
    url: str = ""
    host: str = ""
    callback: str = ""
    status: int | None = None
    fingerprint: int | None = None
    job: str = ""
    spider: str = ""
    code: str = ""
    task_type: str = ""
    target: str = ""
    story: str | None = None
    detail: str | None = None
    id: int = 0


@dataclass(frozen=True, slots=True)
class Which:
    """A choice of dead letters: those that meet all that is given.

    :param error: a part of the error, in any case.
    :param host: the host of the URL.
    :param callback: the name of the spider's method.
    :param status: of the HTTP response.
    :param task_type: as in a :class:`~scrapy_t8.model.failed_task.FailedTask`.
    :param text: a part of the error, the URL or the target, in any case.
    :param older_than: buried at least so many seconds ago.
    :param newer_than: buried at most so many seconds ago.
    :param ids: the numbers of letters.
    """

    kind: str | None = None
    host: str | None = None
    callback: str | None = None
    error: str | None = None
    older_than: float | None = None
    newer_than: float | None = None
    job: str | None = None
    ids: tuple[int, ...] | None = None
    status: int | None = None
    task_type: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Dead letters of one cause."""

    kind: str
    error: str
    host: str
    callback: str
    count: int
    first: float
    last: float
    example: int
    """The number of one of them."""


@dataclass(slots=True)
class QueueRecord:
    """A queue of the frontier: Scrapy's key for it, the download slot it serves, its stored entries."""

    id: int
    key: str
    slot: str | None
    stored: int = 0


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
class PointRecord:
    """A resume point as it is stored.

    :param name: tells several of one task type apart; may be empty.
    :param updated: in Unix seconds.
    :param record: JSON of the :class:`~scrapy_t8.model.resume_point.ResumePoint`.
    :param track: JSON of what is settled beyond it; empty for a point set by hand.
    :param historic: also to be kept as history.
    """

    task_type: str
    name: str
    updated: float
    record: str
    track: str = ""
    historic: bool = False


@dataclass(slots=True)
class Batch:
    """Everything that one commit changes. All of it happens, or none."""

    added: list[tuple[int, bytes, str | None]] = field(default_factory=list)
    removed: list[int] = field(default_factory=list)
    buried: list[DeadLetter] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    spawned: list[tuple[int, int, int, int]] = field(default_factory=list)
    """(parent, fingerprint, child, attempt): what a page not yet settled has brought about."""
    inherited: list[tuple[int, int]] = field(default_factory=list)
    """(old, new): a retry or redirect that takes over what the old entry has spawned."""
    waiting: list[Waiting] = field(default_factory=list)
    woken: list[int] = field(default_factory=list)
    """Ids that wait no longer."""
    resolved: list[int] = field(default_factory=list)
    """Fingerprints of requests that have succeeded: their dead letters can go."""
    hosts: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    """What has changed about the health of hosts, by download slot; None for one that is well again."""
    forgotten: list[int] = field(default_factory=list)
    """Parents that have settled: what they spawned need not be remembered."""
    queues: list[QueueRecord] = field(default_factory=list)
    feeds: dict[str, dict[str, Any]] = field(default_factory=dict)
    points: list[PointRecord] = field(default_factory=list)
    expected: dict[int, Expected] = field(default_factory=dict)
    """By the hash of their key, items that are announced, brought nearer, collected or missed."""
    came: list[int] = field(default_factory=list)
    """Those that were collected, each by a request that was to bring it, and of which there is no more to say."""
    announced: dict[str, int] = field(default_factory=dict)
    """How many items there are, by who says so."""
    items: list[ItemKey] = field(default_factory=list)
    again: list[int] = field(default_factory=list)
    """Keys of items of earlier jobs that were there again, and not exported."""
    superseded: list[int] = field(default_factory=list)
    """Which of the exported items, counted from 0, a later one has taken the place of."""
    losses: list[Loss] = field(default_factory=list)
    tally: dict[tuple[str, str], int] = field(default_factory=dict)
    """(what, of what): how many more."""
    moment: tuple[int, int, int] = (0, 0, 0)
    """Pages, items and retries since the last commit."""
    kept: dict[str, bytes] = field(default_factory=dict)
    """What the job keeps besides, by name."""

    @property
    def has_failures(self) -> bool:
        """Whether anything failed, or came back."""
        return bool(self.waiting or self.woken or self.buried or self.resolved or self.hosts)
