"""The store on one machine: one SQLite file in WAL mode."""

from __future__ import annotations

import json
import logging
import math
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from scrapy_t8.errors import JobLocked, StoreDamaged, StoreError, remedy
from scrapy_t8.model.attempts import ScheduledRetry
from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.model.entry import Entry, QueueRecord, queue_range
from scrapy_t8.model.job import JobRecord, Recovery, Run
from scrapy_t8.stores.base import IfDamaged

from . import queries as sql
from .dead_letters import SQLiteDeadLetters
from .file import check_all, check_file, check_version, connect, damaged, make_sure_it_is_there, transaction
from .inflight_log import InFlightLog
from .items import SQLiteItems
from .resume_points import SQLiteResumePoints
from .salvage import salvage, set_aside
from .tables import dump_job, load_job
from .wal import WalCheckpointer

logger = logging.getLogger(__name__)

FORGET_SLICE = 500
PATIENCE = 0.2
"""Seconds that a start waits for the lock of a job."""


class SQLiteStore:
    """A :class:`~scrapy_t8.stores.base.Store` in the directory *path* (made if it is missing).

    :param power: commits survive a power cut, not only the death of the process.
    """

    def __init__(self, path: Path, *, power: bool = False) -> None:
        self.path = path / "state.db"
        self._power = power
        self._lock = FileLock(path / "lock", mode=0o600, thread_local=False)
        self._holder = path / "holder"
        self._db: sqlite3.Connection
        self._marks: InFlightLog
        self.box: SQLiteDeadLetters
        self.points: SQLiteResumePoints
        self.books: SQLiteItems
        log = path / "state.db-wal"
        self._checkpointer = WalCheckpointer(log, lambda: connect(self.path, power=power))
        self._inode = 0
        self._run = 0
        self._last_queue = 0
        self._forgetting: list[int] = []

    # -- opening and closing -------------------------------------------------------------------------------------

    def open(self, *, if_damaged: IfDamaged = "refuse") -> None:
        directory = self.path.parent
        with self._guard("open"):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._acquire()
        try:
            with self._guard("open"):
                make_sure_it_is_there(self.path)
                self._connect_or(if_damaged)
                self._marks = InFlightLog(directory / "marks")
                self._inode = self.path.stat().st_ino
        except BaseException:
            self._lock.release()
            raise

    def close(self) -> None:
        if self._lock.is_locked:
            self._checkpointer.close()
            self._marks.close()
            self._db.close()
            self._holder.unlink(missing_ok=True)
            self._lock.release()

    def _acquire(self) -> None:
        # The lock is the kernel's (flock): it is gone with its holder, however that ended.
        try:
            # Not at once: a reader that looks whether the job is owned holds the lock for an instant.
            self._lock.acquire(timeout=PATIENCE, poll_interval=PATIENCE / 10)
        except Timeout:
            who = self._holder.read_text() if self._holder.exists() else "unknown"
            raise JobLocked(
                f"the job in {self.path.parent.parent} is in use by another process (pid {who}): "
                "wait for it to end, stop it, or use another JOBDIR"
            ) from None
        self._holder.touch(mode=0o600)
        self._holder.write_text(str(os.getpid()))

    def _connect_or(self, if_damaged: IfDamaged) -> None:
        try:
            self._connect()
            if if_damaged != "refuse":
                check_all(self._db, self.path)
        except StoreDamaged as damage:
            if if_damaged == "refuse":
                raise
            old = set_aside(self.path)
            make_sure_it_is_there(self.path)
            self._connect()
            if if_damaged == "salvage":
                salvage(old, self._db, str(damage))
                self._rebalance()
                self._last_queue = self._db.execute(sql.LAST_QUEUE).fetchone()[0] or 0

    def _rebalance(self) -> None:
        """What was in the damaged part cannot be told any more: the books go by what is there."""
        job = self.job()
        if job is not None:
            lost = job.ledger.difference(self.count_entries() + self.count_waiting())
            job.ledger.admitted -= lost
            self._db.execute(sql.PUT_JOB, (dump_job(job),))
            if lost > 0:
                logger.error("%d requests were in the part that cannot be read. Their pages will be missing", lost)

    def _connect(self) -> None:
        check_file(self.path)
        try:
            self._db = connect(self.path, power=self._power)
            check_version(self._db, self.path)
            self._last_queue = self._db.execute(sql.LAST_QUEUE).fetchone()[0] or 0
            self.job(), self.last_run(), self.feeds()
            self.box = SQLiteDeadLetters(self._db, self._guard, self._change)
            self.points = SQLiteResumePoints(self._db, self._guard, self._change)
            self.books = SQLiteItems(self._db, self._guard, self._change)
        except (sqlite3.DatabaseError, ValueError, TypeError, KeyError) as error:
            if isinstance(error, sqlite3.OperationalError) and "no such" not in str(error):
                raise
            raise damaged(self.path, str(error)) from None

    @contextmanager
    def _guard(self, what: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            if isinstance(error, sqlite3.DatabaseError) and "malformed" in str(error):
                raise damaged(self.path, str(error)) from error
            raise StoreError(f"cannot {what} the state in {self.path.parent}: {error}. {remedy(error)}") from error

    # -- a job and its runs --------------------------------------------------------------------------------------

    def job(self) -> JobRecord | None:
        row = self._db.execute(sql.GET_JOB).fetchone()
        return None if row is None else load_job(row[0])

    def last_run(self) -> Run | None:
        row = self._db.execute(sql.LAST_RUN).fetchone()
        return Run(*row) if row else None

    def begin_job(self, job: JobRecord, *, keep: bool = False, afresh: bool = False, keep_items: bool = False) -> None:
        with self._guard("write"), transaction(self._db) as db:
            if afresh:
                db.execute(sql.DROP_POINTS)
            if not (keep or keep_items):
                db.execute(sql.DROP_ITEMS)
            for table in () if keep else sql.OF_A_JOB:
                db.execute(f"DELETE FROM {table}")
            db.execute(sql.PUT_JOB, (dump_job(job),))

    def begin_run(self, now: float, crash_limit: int) -> Recovery:
        with self._guard("recover"):
            job, last = self.job(), self.last_run()
            if job is None:
                raise StoreError(f"there is no job in {self.path.parent}")
            marked_by, flying = self._marks.read()
            recovered = 0
            with transaction(self._db) as db:
                if last is not None and last.ended is None:
                    last = replace(last, ended=last.last_commit, reason="died")
                    db.execute(sql.END_RUN, (last.ended, last.reason, last.id))
                    # Only the marks of that very run: a crash in the middle of this must not charge them twice.
                    flying = flying if marked_by == last.id else []
                    recovered = db.executemany(sql.CHARGE, [(entry,) for entry in flying]).rowcount
                db.execute(sql.DROP_EMPTY_QUEUES)
                self._run = db.execute(sql.OPEN_RUN, (now, now)).lastrowid or 0
                db.execute(sql.PUT_JOB, (dump_job(job),))
            self._marks.reset(self._run)
            crashed = [Entry(*row) for row in self._db.execute(sql.CRASHED, (crash_limit,))]
        return Recovery(job, self._run, last, max(recovered, 0), crashed)

    def end_run(self, now: float, reason: str, job: JobRecord | None) -> None:
        self._checkpointer.wait()
        with self._guard("write"), transaction(self._db) as db:
            db.execute(sql.END_RUN, (now, reason, self._run))
            if job is not None:
                db.execute(sql.PUT_JOB, (dump_job(job),))

    # -- the frontier --------------------------------------------------------------------------------------------

    def queues(self) -> list[QueueRecord]:
        return [QueueRecord(*row) for row in self._db.execute(sql.GET_QUEUES)]

    def new_queue(self, key: str, slot: str | None) -> QueueRecord:
        self._last_queue += 1
        return QueueRecord(self._last_queue, key, slot)

    def read(self, queue: int, *, newest_first: bool, beyond: int | None, limit: int) -> list[Entry]:
        first, last = queue_range(queue)
        with self._guard("read"):
            if newest_first:
                rows = self._db.execute(sql.NEWEST, (first, last + 1 if beyond is None else beyond, limit))
            else:
                rows = self._db.execute(sql.OLDEST, (first - 1 if beyond is None else beyond, last, limit))
            return [Entry(*row) for row in rows]

    def entries(self) -> Iterator[Entry]:
        return (Entry(*row) for row in self._db.execute(sql.ALL_ENTRIES))

    def count_entries(self) -> int:
        count: int = self._db.execute(sql.COUNT_ENTRIES).fetchone()[0]
        return count

    def seen(self, fingerprint: int) -> bool:
        try:
            return self._db.execute(sql.IS_SEEN, (fingerprint,)).fetchone() is not None
        except sqlite3.Error as error:
            raise StoreError(f"cannot read the state in {self.path.parent}: {error}. {remedy(error)}") from error

    def some_seen(self, limit: int) -> set[int]:
        with self._guard("read"):
            return {row[0] for row in self._db.execute(sql.SOME_SEEN, (limit,))}

    def spawned(self, parent: int, fingerprint: int, before: int) -> list[int]:
        with self._guard("read"):
            return [row[0] for row in self._db.execute(sql.SPAWNED, (parent, fingerprint, before))]

    def parents(self) -> set[int]:
        with self._guard("read"):
            return {row[0] for row in self._db.execute(sql.PARENTS)}

    def count_waiting(self, *, until: float = math.inf) -> int:
        with self._guard("read"):
            count: int = self._db.execute(sql.COUNT_WAITING, (until,)).fetchone()[0]
            return count

    def due(self, now: float, limit: int) -> list[ScheduledRetry]:
        with self._guard("read"):
            return [ScheduledRetry(*row) for row in self._db.execute(sql.DUE, (now, limit))]

    def next_due(self, *, after: float = 0.0) -> float | None:
        with self._guard("read"):
            first: float | None = self._db.execute(sql.NEXT_DUE, (after,)).fetchone()[0]
            return first

    def waiting(self, *, limit: int | None = None) -> list[ScheduledRetry]:
        return self.due(math.inf, -1 if limit is None else limit)

    def hosts(self) -> dict[str, dict[str, Any]]:
        with self._guard("read"):
            return {slot: json.loads(record) for slot, record in self._db.execute(sql.GET_HOSTS)}

    def feeds(self) -> dict[str, dict[str, Any]]:
        return {name: json.loads(record) for name, record in self._db.execute(sql.GET_FEEDS)}

    def kept(self, prefix: str) -> dict[str, bytes]:
        with self._guard("read"):
            return dict(self._db.execute(sql.GET_KEPT, {"prefix": prefix}))

    # -- work ----------------------------------------------------------------------------------------------------

    def mark(self, entry: int) -> None:
        try:
            self._marks.add(entry)
        except OSError as error:
            raise StoreError(f"cannot write the state in {self.path.parent}: {error}. {remedy(error)}") from error

    def unmark(self, entry: int) -> None:
        self._marks.discard(entry)

    def is_ready(self) -> bool:
        return not self._checkpointer.lock.locked()

    def commit(self, batch: CommitBatch, job: JobRecord, now: float) -> None:
        with self._guard("write"):
            self._still_there()
            with self._change() as db:
                db.executemany(sql.ADD_ENTRY, batch.added)
                db.executemany(sql.REMOVE_ENTRY, [(entry,) for entry in batch.removed])
                # In order, neighbouring keys share a page of the table.
                db.executemany(sql.ADD_SEEN, [(fingerprint,) for fingerprint in sorted(batch.seen)])
                db.executemany(sql.PUT_QUEUE, [(q.id, q.key, q.slot, q.stored) for q in batch.queues])
                db.executemany(sql.PUT_FEED, [(name, json.dumps(r)) for name, r in batch.feeds.items()])
                if batch.inherited or batch.spawned:
                    db.executemany(sql.INHERIT, [(new, old) for old, new in batch.inherited])
                    db.executemany(sql.ADD_SPAWNED, batch.spawned)
                if batch.points:
                    self.points.write(batch.points)
                self.books.write(batch, job, self._run, now)
                if batch.kept:
                    db.executemany(sql.PUT_KEPT, batch.kept.items())
                if batch.has_failures:
                    self._commit_failures(db, batch, job)
                db.execute(sql.PUT_JOB, (dump_job(job),))
                db.execute(sql.TOUCH_RUN, (now, self._run))
                self._forget(batch.forgotten)

    def _commit_failures(self, db: sqlite3.Connection, batch: CommitBatch, job: JobRecord) -> None:
        db.executemany(sql.WAKE, [(entry,) for entry in batch.woken])
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

    def _still_there(self) -> None:
        # SQLite would go on happily in a file that has no name any more.
        if os.stat(self.path).st_ino != self._inode:
            raise OSError(f"{self.path.name} was replaced while the crawl ran")

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """A transaction that keeps out of the way of a checkpoint, and may be followed by one."""
        with self._checkpointer.lock, transaction(self._db) as db:
            yield db
        self._checkpointer.committed(self._db.total_changes)
