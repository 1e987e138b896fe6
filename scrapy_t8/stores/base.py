"""What T8 asks of a store. Bytes in, records out; nothing above a store knows what it is made of."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Protocol

from scrapy_t8.errors import JobError
from scrapy_t8.model.attempts import ScheduledRetry
from scrapy_t8.model.batch import CommitBatch, PointRecord
from scrapy_t8.model.dead_letter import DeadLetter, LetterFilter, LetterGroup
from scrapy_t8.model.entry import Entry, QueueRecord
from scrapy_t8.model.items import LastExport, RefetchRequest
from scrapy_t8.model.job import JobRecord, PastJob, Recovery, Run

ALL = LetterFilter()
IfDamaged = Literal["refuse", "salvage", "replace"]


class DeadLetterStore(Protocol):
    """The dead-letter box of a store. Each change is one transaction, and keeps the books of *job* balanced with it.

    A letter of the running job that leaves the box otherwise than by reviving counts as discarded from then on.
    """

    def letters(self, which: LetterFilter = ALL, *, limit: int | None = None, after: int = 0) -> list[DeadLetter]:
        """The chosen letters without their bodies (payload, story and detail), by number, beginning *after* one."""

    def letter(self, number: int) -> DeadLetter | None:
        """One letter, whole."""

    def count(self, which: LetterFilter = ALL) -> int:
        """How many there are."""

    def groups(self, which: LetterFilter = ALL) -> list[LetterGroup]:
        """The chosen letters by cause, the most frequent first."""

    def fingerprints(self) -> set[int]:
        """Those of all letters."""

    def revive(self, which: LetterFilter, job: JobRecord, now: float) -> int:
        """Make the chosen letters entries that wait and are due *now*, with fresh attempts. Returns how many.

        Letters of another job are admitted to *job*. A finished job is open again. Letters without a payload stay.
        """

    def heal(self, mended: list[RefetchRequest], which: LetterFilter, job: JobRecord, now: float) -> None:
        """Make the requests of *mended* entries that wait and are due *now*, and revive the chosen letters."""

    def discard(self, which: LetterFilter, job: JobRecord) -> int:
        """Throw the chosen letters away. Returns how many."""

    def prune(self, job: JobRecord, now: float, *, ttl: float, limit: int) -> tuple[int, int]:
        """Throw away what is older than *ttl* seconds, then the oldest beyond *limit*. Returns both numbers."""


class ResumePointStore(Protocol):
    """The resume points of a store. They outlive their job. Each change is one transaction."""

    def all(self) -> list[PointRecord]:
        """Every point as it stands."""

    def history(self, task_type: str) -> list[PointRecord]:
        """What the points of one task type were before, the newest first."""

    def put(self, point: PointRecord) -> None:
        """Set one."""

    def drop(self, task_type: str, name: str) -> bool:
        """Take one away. Returns whether it was there."""

    def prune(self, oldest: float, limit: int) -> int:
        """Drop history before a time, and beyond a number of records. Returns how many went. No point itself goes."""


class ItemStore(Protocol):
    """What a store knows of items. It is changed by commits, but for what is said of jobs that have ended."""

    def item(self, key: int) -> LastExport | None:
        """When the item with this key (its hash) was exported last, or None."""

    def some_items(self, limit: int) -> dict[int, LastExport]:
        """All of them if there are less than *limit*, else any *limit* of them."""

    def superseded(self) -> Iterator[int]:
        """Which of the exported items, counted from 0, were replaced by later ones, in order."""

    def past_jobs(self, spider: str) -> list[PastJob]:
        """The jobs of a spider that have ended here, the oldest first."""

    def to_heal(self) -> dict[str, int]:
        """The items that the spider is to be asked for: by their text, the hash of their key."""

    def healed(self, keys: list[int], healed: int) -> None:
        """Say of items what becomes of their healing."""

    def expect_last(self, spider: str, source: str) -> int:
        """Expect all items that the last good job of *spider* had. Returns how many."""

    def add_past_job(self, job: PastJob) -> None:
        """Remember a job that has ended."""


class Store(Protocol):
    """One job's durable state, owned by one process at a time.

    Every method raises :exc:`~scrapy_t8.errors.StoreError` when the state cannot be read or written. After that the
    store is not to be used again: the last commit is the state.
    """

    @property
    def box(self) -> DeadLetterStore:
        """The dead-letter box."""

    @property
    def points(self) -> ResumePointStore:
        """The resume points."""

    @property
    def books(self) -> ItemStore:
        """What is known of items."""

    def open(self, *, if_damaged: IfDamaged = "refuse") -> None:
        """Own the state and make it readable.

        :param if_damaged: ``refuse``; or set the damaged state aside and ``salvage`` what can be read, or ``replace``
            it by an empty one.
        :raises JobLocked: if a live process owns it.
        :raises StoreDamaged: if it is damaged and that is to be refused.
        :raises StoreVersion: if another version wrote it.
        """

    def close(self) -> None:
        """Give the state up. Does not commit."""

    # A job and its runs

    def job(self) -> JobRecord | None:
        """The job that lives here, or None before the first."""

    def last_run(self) -> Run | None:
        """The newest run of the job."""

    def begin_job(self, job: JobRecord, *, keep: bool = False, afresh: bool = False, keep_items: bool = False) -> None:
        """Start *job* with an empty frontier, or with what was salvaged (*keep*).

        Dead letters always stay; resume points do unless it begins *afresh*; what items earlier jobs had, on demand.
        """

    def begin_run(self, now: float, crash_limit: int) -> Recovery:
        """Open a run. If the last one died, charge what was in flight with a crash; tell what has *crash_limit*."""

    def end_run(self, now: float, reason: str, job: JobRecord | None) -> None:
        """Close the run: it did not die. Without *job* its books stay as the last commit left them."""

    # The frontier

    def queues(self) -> list[QueueRecord]:
        """The queues that have entries."""

    def new_queue(self, key: str, slot: str | None) -> QueueRecord:
        """A queue with an id of its own. It becomes durable with its first commit."""

    def count_entries(self) -> int:
        """The entries there are, counted one by one: for checking the books, not for every day."""

    def read(self, queue: int, *, newest_first: bool, beyond: int | None, limit: int) -> list[Entry]:
        """Up to *limit* entries of *queue* below the id *beyond* (newest first) or above it (oldest first)."""

    def entries(self) -> Iterator[Entry]:
        """Every entry, oldest first."""

    def seen(self, fingerprint: int) -> bool:
        """Whether a request with this fingerprint was ever admitted."""

    def some_seen(self, limit: int) -> set[int]:
        """All fingerprints if there are less than *limit*, else any *limit* of them."""

    def spawned(self, parent: int, fingerprint: int, before: int) -> list[int]:
        """The children of an unsettled *parent* with this fingerprint, from attempts older than *before*."""

    def parents(self) -> set[int]:
        """The unsettled entries that have spawned something."""

    def count_waiting(self, *, until: float = math.inf) -> int:
        """The entries that wait, or those of them that are due by a time."""

    def due(self, now: float, limit: int) -> list[ScheduledRetry]:
        """Up to *limit* waiting entries that are due, the earliest first."""

    def next_due(self, *, after: float = 0.0) -> float | None:
        """When the first waiting entry that is due *after* a time is due, or None."""

    def waiting(self, *, limit: int | None = None) -> list[ScheduledRetry]:
        """The waiting entries, the earliest first."""

    def hosts(self) -> dict[str, dict[str, Any]]:
        """The hosts that are not well, by download slot."""

    def feeds(self) -> dict[str, dict[str, Any]]:
        """What each feed has noted about itself at the last commit."""

    def kept(self, prefix: str) -> dict[str, bytes]:
        """What the job keeps under names that begin with *prefix*."""

    # Work

    def mark(self, entry: int) -> None:
        """Note that *entry* is in flight, so that a death of the process is charged to it. Survives a kill at once."""

    def unmark(self, entry: int) -> None:
        """Take the note back."""

    def is_ready(self) -> bool:
        """Whether a commit would not have to wait for something that the store does in the background."""

    def commit(self, batch: CommitBatch, job: JobRecord, now: float) -> None:
        """Make all of *batch* and the books of *job* durable, or nothing of it."""


def no_job(directory: Path) -> JobError:
    """Return the error that says that there is no job in a job directory."""
    return JobError(f"there is no job in {directory}: give the JOBDIR of a crawl that ran with scrapy_t8")
