"""The store of a crawl: one SQLite file in WAL mode."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from scrapy_t8.config.causes import UNKNOWN
from scrapy_t8.errors import StoreDamaged, StoreError
from scrapy_t8.model.attempts import ScheduledRetry
from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.model.entry import Entry, QueueRecord, queue_range
from scrapy_t8.model.job import JobRecord, Recovery, Run
from scrapy_t8.stores.locks import is_inode
from scrapy_t8.utils.log.loggers import get_logger

from .file import StateFile, connect, damage_of, damaged, lost, transaction
from .inflight_log import InFlightLog
from .items import SQLiteItems
from .tables import dump_job, leave_untried, sql
from .wal import WalCheckpointer

logger = get_logger(__name__)

IfDamaged = Literal["refuse", "salvage", "replace"]

DOUBT = "the state file was damaged, and what could not be read is in no book"
FORGET_SLICE = 500
OF_A_JOB = """
    queue entry waiting seen spawned feed run kept expected announced loss superseded tally timeline lease task_name
""".split()
"""Tables that a new job empties."""
PATIENCE = 0.2
"""Seconds that a start waits for the lock of a job: a reader that checks for an owner holds the lock for an instant."""


class SQLiteStore(StateFile):
    """One job's durable state in the directory *path*, created if it is missing; owned by one process at a time."""

    IN_USE = (
        "the job in {where} is in use by another process (pid {pid}): "
        "wait for it to end, stop it, or use another JOBDIR"
    )

    def __init__(self, path: Path, *, power: bool = False) -> None:
        super().__init__(path, power=power)
        self._marks: InFlightLog
        self.items: SQLiteItems
        self._checkpointer = WalCheckpointer(path / "state.db-wal", lambda: connect(self.path, power=power))
        self._run = 0
        self.is_salvaged = False
        """Whether earlier state was lost, in part or as a whole."""
        self._last_queue = 0
        self._forgetting: list[int] = []

    # -- opening and closing -------------------------------------------------------------------------------------

    def open(self, *, if_damaged: IfDamaged = "refuse") -> None:
        """Lock the state and open it.

        :param if_damaged: ``refuse`` damaged state; or keep it aside, and ``salvage`` its readable part or ``replace``
            it by an empty state.
        :raises JobLocked: if another live process owns the state.
        :raises StoreDamaged: if the state is damaged and must be refused.
        :raises StoreVersion: if another version wrote the state.
        """
        with self._opening(lambda: self._lock.own(PATIENCE)):
            self._marks = InFlightLog(self._directory / "marks")
            try:
                self._check_there(if_damaged)
                self._connect_or(if_damaged)
                self._check_log(if_damaged)
            except BaseException:
                self._marks.close()
                raise

    def close(self) -> None:
        """Close the state and unlock it. It does not commit."""
        if self._lock.is_held:
            self._checkpointer.close()
            self._marks.close()
            self._db.close()
            self._holder.unlink(missing_ok=True)
            self._lock.release()

    def _check_there(self, if_damaged: IfDamaged) -> None:
        """Refuse to take a state that has disappeared for a new job."""
        if not self.path.exists() and self._marks.missing(0, 0):
            what = "State file missing in %s; beginning a new job without earlier state"
            self._miss(what, "is missing, and other files of its job are there", if_damaged)

    def _check_log(self, if_damaged: IfDamaged) -> None:
        """Refuse a state that does not have the last commit: its log was removed, cut or damaged."""
        job, last = self.job(), self.last_run()
        missing = self._marks.missing(last.id if last is not None else 0, job.commits if job is not None else 0)
        if missing:
            why = f"is older than the last commit of the crawl ({missing}): its log state.db-wal is gone or damaged"
            self._miss("The last commits are missing in %s; going on without them", why, if_damaged)

    def _miss(self, what: str, why: str, if_damaged: IfDamaged) -> None:
        if if_damaged == "refuse":
            raise lost(self.path, why)
        logger.warning(what, self._directory)
        self._forget_lost()

    def _forget_lost(self) -> None:
        self.is_salvaged = True
        self._marks.reset(0)

    def _connect_or(self, if_damaged: IfDamaged) -> None:
        try:
            self._connect()
            if if_damaged != "refuse" and (found := damage_of(self._db)):
                self._db.close()
                raise damaged(self.path, found)
        except StoreDamaged as damage:
            if if_damaged == "refuse":
                raise
            from .salvage import salvage, set_aside

            old = set_aside(self.path)
            self._connect()
            if if_damaged == "salvage":
                salvage(old, self._db, str(damage))
                self._rebalance()
                self._last_queue = self._find_last_queue()
            self._forget_lost()

    def _rebalance(self) -> None:
        """Adjust the ledger to the salvaged rows: the outcomes of lost requests are unknown."""
        job = self.job()
        if job is not None:
            lost = job.ledger.difference(self.count_entries() + self.count_waiting())
            job.ledger.admitted -= lost
            job.doubt = DOUBT
            self._db.execute(sql.PUT_JOB, (dump_job(job),))
            if lost > 0:
                self._db.execute(sql.ADD_TALLY, ("cause besides", UNKNOWN, lost))
                logger.error("%d requests were in the part that cannot be read. Their pages will be missing", lost)

    def _load(self) -> None:
        super()._load()
        self.items = SQLiteItems(self._db, self._reading, self._change)
        self._last_queue = self._find_last_queue()
        self.last_run(), self.feeds()

    def _find_last_queue(self) -> int:
        return self._db.execute(sql.LAST_QUEUE).fetchone()[0] or 0

    # -- a job and its runs --------------------------------------------------------------------------------------

    def last_run(self) -> Run | None:
        """Return the newest run of the job."""
        row = self._db.execute(sql.LAST_RUN).fetchone()
        return Run(*row) if row else None

    def begin_job(self, job: JobRecord, *, keep: bool = False, afresh: bool = False, keep_items: bool = False) -> None:
        """Begin *job* with an empty frontier, or with the salvaged one (*keep*).

        :param afresh: also delete resume points.
        :param keep_items: keep the records of items that earlier jobs exported.
        """
        with self._guard("write"), transaction(self._db) as db:
            self._marks.reset(0)  # the runs of a new job are counted anew
            if afresh:
                db.execute(sql.DROP_POINTS)
            if not (keep or keep_items):
                db.execute(sql.DROP_ITEMS)
            for table in () if keep else OF_A_JOB:
                db.execute(f"DELETE FROM {table}")
            db.execute(sql.PUT_JOB, (dump_job(job),))
            if keep:  # what became of the other requests of the lost job is not known
                db.execute(sql.ADD_TALLY, ("cause besides", UNKNOWN, 1))

    def put_job(self, job: JobRecord) -> None:
        """Store the record of *job*."""
        with self._guard("write"), transaction(self._db) as db:
            db.execute(sql.PUT_JOB, (dump_job(job),))

    def begin_run(self, now: float, crash_limit: int) -> Recovery:
        """Begin a run. If the last run died, charge a crash to its entries in flight. Report suspects."""
        with self._guard("recover"):
            job, last = self.job(), self.last_run()
            if job is None:
                raise StoreError(f"there is no job in {self._directory}: use another JOBDIR")
            marked_by, in_flight = self._marks.read()
            recovered = 0
            with transaction(self._db) as db:
                if last is not None and last.ended is None:
                    last = last._replace(ended=last.last_commit, reason="died")
                    db.execute(sql.END_RUN, (last.ended, last.reason, last.id))
                    # Only the marks of that very run: a crash in the middle of this must not charge them twice.
                    in_flight = in_flight if marked_by == last.id else []
                    recovered = db.executemany(sql.CHARGE, [(entry,) for entry in in_flight]).rowcount
                db.execute(sql.DROP_EMPTY_QUEUES)
                self._run = db.execute(sql.OPEN_RUN, (now, now)).lastrowid or 0
                db.execute(sql.PUT_JOB, (dump_job(job),))
            self._marks.reset(self._run)
            crashed = [Entry(*row) for row in self._db.execute(sql.CRASHED, (crash_limit,))]
        return Recovery(job, self._run, last, max(recovered, 0), crashed)

    def end_run(self, now: float, reason: str, job: JobRecord | None, *, leave: str = "") -> None:
        """End the run, which has not died. Without *job*, its record stays. *leave*: see :func:`leave_untried`."""
        self._checkpointer.wait()
        with self._guard("write"), transaction(self._db) as db:
            db.execute(sql.END_RUN, (now, reason, self._run))
            if job is not None:
                leave_untried(db, leave if job.finished else "")
                db.execute(sql.PUT_JOB, (dump_job(job),))
                self._marks.note_commit(self._run, 0)  # a later one is not to be expected

    # -- the frontier --------------------------------------------------------------------------------------------

    def queues(self) -> list[QueueRecord]:
        """Return the queues that have entries."""
        return [QueueRecord(*row) for row in self._db.execute(sql.GET_QUEUES)]

    def new_queue(self, key: str, slot: str | None) -> QueueRecord:
        """Return a queue with a new id. It becomes durable with its first commit."""
        self._last_queue += 1
        return QueueRecord(self._last_queue, key, slot)

    def read(self, queue: int, *, newest_first: bool, beyond: int | None, limit: int) -> list[Entry]:
        """Return up to *limit* entries of *queue* below the id *beyond* (newest first) or above it (oldest first)."""
        first, last = queue_range(queue)
        if newest_first:
            rows = self.rows(sql.NEWEST, (first, last + 1 if beyond is None else beyond, limit))
        else:
            rows = self.rows(sql.OLDEST, (first - 1 if beyond is None else beyond, last, limit))
        return [Entry(*row) for row in rows]

    def payload(self, entry: int) -> bytes | None:
        """Return the stored form of one entry; None if the store does not have the entry."""
        with self._guard("read"):
            row = self._db.execute(sql.PAYLOAD, (entry,)).fetchone()
            return None if row is None else row[0]

    def count_entries(self) -> int:
        """Count the entries one by one, to check the ledger. It is slow."""
        return int(self.value(sql.COUNT_ENTRIES))

    def seen(self, fingerprint: int) -> bool:
        """Whether a request with this fingerprint was ever admitted."""
        # Once for each request: a context manager would cost as much as the query.
        try:
            return self._db.execute(sql.IS_SEEN, (fingerprint,)).fetchone() is not None
        except sqlite3.Error as error:
            raise self._error("read", error) from error

    def some_seen(self, limit: int) -> set[int]:
        """Return all fingerprints that were admitted, or any *limit* of them if there are more."""
        return {row[0] for row in self.rows(sql.SOME_SEEN, (limit,))}

    def spawned(self, parent: int, first: int | bytes, last: int | bytes, *, before: int) -> list[tuple[Any, int]]:
        """Return the children of an unsettled *parent* in a range of keys, from attempts older than *before*."""
        return self.rows(sql.SPAWNED, (parent, first, last, before))

    def parents(self) -> set[int]:
        """Return the unsettled entries that have children."""
        return {row[0] for row in self.rows(sql.PARENTS)}

    def count_waiting(self, *, until: float = math.inf) -> int:
        """Count the waiting entries that are due at *until* or earlier."""
        return int(self.value(sql.COUNT_WAITING, (until,)))

    def due(self, now: float, limit: int) -> list[ScheduledRetry]:
        """Return up to *limit* waiting entries that are due, the earliest first."""
        return [ScheduledRetry(*row) for row in self.rows(sql.DUE, (now, limit))]

    def next_due(self, *, after: float = 0.0) -> float | None:
        """Return the first time after *after* at which a waiting entry is due."""
        first: float | None = self.value(sql.NEXT_DUE, (after,))
        return first

    def waiting(self) -> list[ScheduledRetry]:
        """Return the waiting entries, the earliest first."""
        return self.due(math.inf, -1)

    # -- work ----------------------------------------------------------------------------------------------------

    def mark_in_flight(self, entry: int) -> None:
        """Record that *entry* is in flight, so that a crash is charged to it. The note survives a kill immediately."""
        try:
            self._marks.add(entry)
        except OSError as error:
            raise self._error("write", error) from error

    def unmark_in_flight(self, entry: int, *, is_stored: bool = False) -> None:
        """Remove the note of :meth:`mark_in_flight`; from the file, too, if the entry *is_stored* and will stay so."""
        self._marks.discard(entry, erase=is_stored)

    def is_ready(self) -> bool:
        """Whether a commit would begin at once, without waiting for a checkpoint."""
        return not self._checkpointer.lock.locked()

    def commit(self, batch: CommitBatch, job: JobRecord, now: float) -> None:
        """Make all of *batch* and the record of *job* durable, or nothing."""
        with self._guard("write"):
            # SQLite would go on writing to a deleted file.
            if not is_inode(self.path, self._inode):
                raise OSError(f"{self.path.name} was removed or replaced while the crawl ran")
            job.commits += 1
            with self._change() as db:
                db.executemany(sql.ADD_ENTRY, batch.added)
                db.executemany(sql.REMOVE_ENTRY, [(entry,) for entry in batch.removed])
                # In order, neighbouring keys share a page of the table.
                db.executemany(sql.ADD_SEEN, [(fingerprint,) for fingerprint in sorted(batch.seen)])
                db.executemany(sql.PUT_QUEUE, [(q.id, q.key, q.slot, q.stored) for q in batch.queues])
                db.executemany(sql.PUT_FEED, [(name, json.dumps(r)) for name, r in batch.feeds.items()])
                db.executemany(sql.INHERIT, [(new, old) for old, new in batch.inherited])
                db.executemany(sql.ADD_SPAWNED, batch.spawned)
                db.executemany(sql.PUT_KEPT, batch.kept.items())
                self.points.write(batch.points)
                self.items.write(batch, job, self._run, now)
                if batch.has_failures:
                    self._commit_failures(db, batch, job)
                db.execute(sql.PUT_JOB, (dump_job(job),))
                db.execute(sql.TOUCH_RUN, (now, self._run))
                self._forget(batch.forgotten)
            self._marks.note_commit(self._run, job.commits)

    def _commit_failures(self, db: sqlite3.Connection, batch: CommitBatch, job: JobRecord) -> None:
        db.executemany(sql.REACTIVATE, [(entry,) for entry in batch.reactivated])
        db.executemany(sql.WAIT, [(w.id, w.due, w.slot, w.payload, w.story) for w in batch.waiting])
        self.box.resolve(batch.resolved, job)
        self.box.bury(batch.buried)
        for slot, record in batch.hosts.items():
            if record is None:
                db.execute(sql.DROP_HOST, (slot,))
            else:
                db.execute(sql.PUT_HOST, (slot, json.dumps(record)))

    def _forget(self, parents: list[int]) -> None:
        self._forgetting += parents
        while self._forgetting:
            if self._db.execute(sql.FORGET, (self._forgetting[-1], FORGET_SLICE)).rowcount == FORGET_SLICE:
                return
            self._forgetting.pop()

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """Make a transaction that does not run during a checkpoint, and may start one afterwards."""
        with self._checkpointer.lock, transaction(self._db) as db:
            yield db
        self._checkpointer.committed(self._db.total_changes)
