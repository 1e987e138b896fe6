"""What the packages above use of a store: bytes in, records out. Nothing above a store depends on its database.

Every method raises :exc:`~scrapy_t8.errors.StoreError` when the state cannot be read or written. After that the store
must not be used again: the last commit is the state.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal, Protocol

from scrapy_t8.model.attempts import ScheduledRetry
from scrapy_t8.model.batch import CommitBatch, PointRecord
from scrapy_t8.model.dead_letter import DeadLetter, LetterFilter, LetterGroup
from scrapy_t8.model.entry import Entry, QueueRecord
from scrapy_t8.model.items import LastExport, RefetchRequest, RefetchStatus
from scrapy_t8.model.job import JobRecord, PastJob, Recovery, Run

ALL = LetterFilter()
IfDamaged = Literal["refuse", "salvage", "replace"]


class DeadLetterStore(Protocol):
    """The dead-letter box. Each change is one transaction that also updates the ledger of *job*.

    A letter of the running job counts as discarded when it leaves the box, unless it is revived.
    """

    def letters(self, which: LetterFilter = ALL, *, limit: int | None = None, after: int = 0) -> list[DeadLetter]:
        """Return letters by number, beginning above *after*, without payload, story and detail."""

    def letter(self, number: int) -> DeadLetter | None:
        """Return one letter with everything."""

    def count(self, which: LetterFilter = ALL) -> int:
        """Return the number of letters."""

    def groups(self, which: LetterFilter = ALL) -> list[LetterGroup]:
        """Return the letters by cause, the most frequent cause first."""

    def fingerprints(self) -> set[int]:
        """Return the fingerprints of the requests of all letters."""

    def revive(self, which: LetterFilter, job: JobRecord, now: float) -> int:
        """Turn letters into waiting entries of *job* with fresh attempts, due *now*. Return their number.

        Letters of another job are admitted to *job*. A finished job becomes unfinished. Letters without a payload stay.
        """

    def refetch(self, requests: list[RefetchRequest], which: LetterFilter, job: JobRecord, now: float) -> None:
        """Add *requests* as waiting entries that are due *now*, and revive letters."""

    def discard(self, which: LetterFilter, job: JobRecord) -> int:
        """Delete letters. Return their number."""

    def prune(self, job: JobRecord, now: float, *, ttl: float, limit: int) -> tuple[int, int]:
        """Delete letters older than *ttl* seconds, then the oldest beyond *limit*. Return both numbers."""


class ResumePointStore(Protocol):
    """The resume points, which outlive their job. Each change is one transaction."""

    def all(self) -> list[PointRecord]:
        """Return the current state of every point."""

    def history(self, task_type: str) -> list[PointRecord]:
        """Return the earlier states of the points of one task type, the newest first."""

    def put(self, point: PointRecord) -> None:
        """Add or replace a point."""

    def drop(self, task_type: str, name: str) -> bool:
        """Delete a point. Return whether it existed."""

    def prune(self, oldest: float, limit: int) -> int:
        """Delete history from before *oldest* and beyond *limit* records. Return the number. Points always stay."""


class ItemStore(Protocol):
    """The exported and expected items, and the jobs that have ended. Commits change most of it."""

    def item(self, key: int) -> LastExport | None:
        """Return the last export of the item with this hash of its key."""

    def some_items(self, limit: int) -> dict[int, LastExport]:
        """Return the last exports of all items by the hash of their key, or of any *limit* items if there are more."""

    def superseded(self) -> Iterator[int]:
        """Yield the exported items, counted from 0, that later ones have replaced, in order."""

    def items_to_request(self) -> dict[str, int]:
        """Return the missing items that the spider is to be asked for: the hash of the key, by its text."""

    def set_refetch_status(self, keys: list[int], status: RefetchStatus) -> None:
        """Set whether missing items are fetched again."""

    def expect_last(self, spider: str, source: str) -> int:
        """Expect all items of the last good job of *spider*. Return their number."""

    def add_past_job(self, job: PastJob) -> None:
        """Add a job that has ended."""


class Store(Protocol):
    """One job's durable state, owned by one process at a time."""

    @property
    def box(self) -> DeadLetterStore: ...

    @property
    def points(self) -> ResumePointStore: ...

    @property
    def items(self) -> ItemStore: ...

    def open(self, *, if_damaged: IfDamaged = "refuse") -> None:
        """Lock the state and open it.

        :param if_damaged: ``refuse`` damaged state; or keep it aside, and ``salvage`` its readable part or ``replace``
            it by an empty state.
        :raises JobLocked: if another live process owns the state.
        :raises StoreDamaged: if the state is damaged and is to be refused.
        :raises StoreVersion: if another version wrote the state.
        """

    def close(self) -> None:
        """Close the state and unlock it. It does not commit."""

    # -- a job and its runs --------------------------------------------------------------------------------------

    def job(self) -> JobRecord | None:
        """Return the job of this state, or None before the first."""

    def last_run(self) -> Run | None:
        """Return the newest run of the job."""

    def begin_job(self, job: JobRecord, *, keep: bool = False, afresh: bool = False, keep_items: bool = False) -> None:
        """Begin *job* with an empty frontier, or with the salvaged one (*keep*).

        :param afresh: also delete resume points.
        :param keep_items: keep what is known of items that earlier jobs exported.
        """

    def begin_run(self, now: float, crash_limit: int) -> Recovery:
        """Begin a run. If the last run died, charge a crash to each entry that was in flight.

        :param crash_limit: crashes from which an entry is reported as crashed.
        """

    def end_run(self, now: float, reason: str, job: JobRecord | None) -> None:
        """End the run, which has not died. Without *job*, its record stays as the last commit left it."""

    # -- the frontier --------------------------------------------------------------------------------------------

    def queues(self) -> list[QueueRecord]:
        """Return the queues that have entries."""

    def new_queue(self, key: str, slot: str | None) -> QueueRecord:
        """Return a queue with a new id. It becomes durable with its first commit."""

    def count_entries(self) -> int:
        """Count the entries one by one, to check the ledger. It is slow."""

    def read(self, queue: int, *, newest_first: bool, beyond: int | None, limit: int) -> list[Entry]:
        """Return up to *limit* entries of *queue* below the id *beyond* (newest first) or above it (oldest first)."""

    def seen(self, fingerprint: int) -> bool:
        """Whether a request with this fingerprint was ever admitted."""

    def some_seen(self, limit: int) -> set[int]:
        """Return all fingerprints that were admitted, or any *limit* of them if there are more."""

    def spawned(self, parent: int, fingerprint: int, before: int) -> list[int]:
        """Return the children of an unsettled *parent* with this fingerprint, from attempts older than *before*."""

    def parents(self) -> set[int]:
        """Return the unsettled entries that have children."""

    def count_waiting(self, *, until: float = math.inf) -> int:
        """Count the waiting entries that are due at *until* or earlier."""

    def due(self, now: float, limit: int) -> list[ScheduledRetry]:
        """Return up to *limit* waiting entries that are due, the earliest first."""

    def next_due(self, *, after: float = 0.0) -> float | None:
        """Return the first time after *after* at which a waiting entry is due."""

    def waiting(self, *, limit: int | None = None) -> list[ScheduledRetry]:
        """Return the waiting entries, the earliest first."""

    def hosts(self) -> dict[str, dict[str, Any]]:
        """Return the states of the hosts that are down or paused, by download slot."""

    def feeds(self) -> dict[str, dict[str, Any]]:
        """Return what each feed has stored about itself with the last commit."""

    def kept(self, prefix: str) -> dict[str, bytes]:
        """Return other data of the job whose names begin with *prefix*."""

    # -- work ----------------------------------------------------------------------------------------------------

    def mark_in_flight(self, entry: int) -> None:
        """Note that *entry* is in flight, so that a crash is charged to it. The note survives a kill immediately."""

    def unmark_in_flight(self, entry: int) -> None:
        """Remove the note of :meth:`mark_in_flight`."""

    def is_ready(self) -> bool:
        """Whether a commit would begin at once, without waiting for work that the store does in the background."""

    def commit(self, batch: CommitBatch, job: JobRecord, now: float) -> None:
        """Make all of *batch* and the record of *job* durable, or nothing."""
