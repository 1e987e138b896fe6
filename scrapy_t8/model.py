"""The records that pass between the rooms. What is stored is bytes; what is passed is one of these.

An entry's id is one integer: its queue in the high bits, its place in the push order in the low ones. So the ids of
a queue are a contiguous range, sorted as pushed, and no store needs a second index to find the next request.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

SEQ_BITS = 38
SEQ_MASK = (1 << SEQ_BITS) - 1

START = 0
"""The id under which ``start()`` is the parent of what it yields."""


def entry_id(queue: int, seq: int) -> int:
    return (queue << SEQ_BITS) | seq


def queue_range(queue: int) -> tuple[int, int]:
    """The first and the last id that an entry of *queue* can have."""
    return queue << SEQ_BITS, ((queue + 1) << SEQ_BITS) - 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored request."""

    id: int
    payload: bytes
    crashes: int = 0


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An entry given up on, with why."""

    id: int
    payload: bytes
    kind: str
    error: str
    buried_at: float


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
    """The books: ``admitted == done + discarded + dead + frontier``, at every commit."""

    admitted: int = 0
    done: int = 0
    discarded: int = 0
    dead: int = 0
    items: int = 0

    def difference(self, frontier: int) -> int:
        return self.admitted - self.done - self.discarded - self.dead - frontier


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


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a start found: the job, its last run, the entries that were in flight when that run died."""

    job: JobRecord
    run: int
    last_run: Run | None = None
    recovered: int = 0
    suspects: Sequence[Entry] = ()
    buried: int = 0


@dataclass(slots=True)
class Batch:
    """Everything that one commit changes. All of it happens, or none."""

    added: list[tuple[int, bytes]] = field(default_factory=list)
    removed: list[int] = field(default_factory=list)
    buried: list[DeadLetter] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    spawned: list[tuple[int, int, int, int]] = field(default_factory=list)
    """(parent, fingerprint, child, attempt): what a page not yet settled has brought about."""
    inherited: list[tuple[int, int]] = field(default_factory=list)
    """(old, new): a retry or redirect that takes over what the old entry has spawned."""
    forgotten: list[int] = field(default_factory=list)
    """Parents that have settled: what they spawned need not be remembered."""
    queues: list[QueueRecord] = field(default_factory=list)
    feeds: dict[str, dict[str, Any]] = field(default_factory=dict)
