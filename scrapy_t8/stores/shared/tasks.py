"""The tasks of the service in SQLite: rows of ``waiting`` whose slot is the task type, and their leases."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from scrapy_t8.model.attempts import ScheduledRetry
from scrapy_t8.model.batch import PointRecord
from scrapy_t8.model.dead_letter import DeadLetter
from scrapy_t8.model.job import JobRecord
from scrapy_t8.stores.locks import LeaseHolder
from scrapy_t8.stores.reader.queries import TALLY
from scrapy_t8.stores.sqlite import queries as sql
from scrapy_t8.stores.sqlite.tables import dump_job

from . import queries as ask
from .store import SharedStore

SUCCEEDED, BURIED = ("outcomes", "succeeded"), ("outcomes", "buried")
"""Counters of tasks, the same as those of requests."""
AT_ONCE = 1000
"""Tasks that one statement reads where all are wanted."""


class SQLiteTasks:
    """The tasks in *store*, and their leases. Each change is one transaction, with the ledger of the job."""

    def __init__(self, store: SharedStore) -> None:
        self._store = store

    def begin(self, new: JobRecord, now: float) -> tuple[JobRecord, int]:
        """Begin a run. Return the job of this state, which is *new* if there was none, and the number of the run."""
        with self._store.writing() as db:
            job = self._store.job()
            if job is None:
                # There may be tasks without a job: the readable part of a damaged file.
                job = new
                job.next_seq, job.ledger.admitted = db.execute(ask.LEFT).fetchone()
                db.execute(sql.PUT_JOB, (dump_job(job),))
            run = db.execute(sql.OPEN_RUN, (now, now)).lastrowid or 0
        return job, run

    def end(self, run: int, now: float) -> None:
        """End a run, which has not died."""
        with self._store.writing() as db:
            db.execute(sql.END_RUN, (now, "closed", run))

    def outcomes(self) -> tuple[int, int]:
        """Return how many tasks have succeeded, and how many were given up, since the state began."""
        with self._store.reading() as db:
            counts = {(what, name): count for what, name, count in db.execute(TALLY)}
        return counts.get(SUCCEEDED, 0), counts.get(BURIED, 0)

    # -- reading -------------------------------------------------------------------------------------------------

    def get(self, entry: int) -> ScheduledRetry | None:
        """Return the waiting task that is stored as *entry*."""
        with self._store.reading() as db:
            row = db.execute(ask.GET, (entry,)).fetchone()
        return None if row is None else ScheduledRetry(*row)

    def named(self, task_id: str) -> int | None:
        """Return the entry of a task that was imported with this id."""
        with self._store.reading() as db:
            row = db.execute(ask.NAMED, (task_id,)).fetchone()
        return None if row is None else row[0]

    def all(self, slot: str | None = None) -> Iterator[ScheduledRetry]:
        """Yield the waiting tasks, of one task type or of all, in the order in which they were added."""
        last = 0
        while True:
            with self._store.reading() as db:
                if slot is None:
                    rows = db.execute(ask.ALL, (last, AT_ONCE)).fetchall()
                else:
                    rows = db.execute(ask.SOME, (slot, last, AT_ONCE)).fetchall()
            if not rows:
                return
            yield from (ScheduledRetry(*row) for row in rows)
            last = rows[-1][0]

    def count(self) -> int:
        """Return the number of waiting tasks."""
        with self._store.reading() as db:
            count: int = db.execute(ask.COUNT).fetchone()[0]
        return count

    def slots(self) -> set[str]:
        """Return the task types of the waiting tasks."""
        with self._store.reading() as db:
            return {row[0] for row in db.execute(ask.TYPES)}

    def next_due(self, slots: Iterable[str]) -> float | None:
        """Return when the first task of some task types is due that is not leased."""
        with self._store.reading() as db:
            found = [db.execute(ask.NEXT_DUE, (slot,)).fetchone() for slot in slots]
        return min((row[0] for row in found if row is not None), default=None)

    def letter(self, entry: int, job: str) -> int | None:
        """Return the number of the dead letter of *entry*, or None."""
        with self._store.reading() as db:
            row = db.execute(ask.DEAD_ENTRY, (entry, job)).fetchone()
        return None if row is None else row[0]

    # -- adding and removing --------------------------------------------------------------------------------------

    def reserve(self, count: int) -> int:
        """Reserve *count* successive entries for new tasks. Return the first."""
        with self._store.writing_job() as (_, job):
            first = job.next_seq
            job.next_seq += count
        return first

    def commit(
        self,
        points: list[PointRecord],
        tasks: list[ScheduledRetry],
        letters: list[DeadLetter],
        names: dict[str, int],
        kept: dict[str, bytes],
    ) -> None:
        """Write everything in one transaction.

        :param letters: new tasks that are dead already.
        :param names: the entries of imported tasks, by their ids.
        :param kept: other data, by name.
        """
        if not tasks and not letters:
            with self._store.writing():
                self._write(points, kept)
            return
        with self._store.writing_job() as (db, job):
            self._write(points, kept)
            db.executemany(ask.ADD, [(t.id, t.due, t.slot, t.payload, t.story) for t in tasks])
            self._store.box.bury([replace(letter, job=job.id, spider=job.spider) for letter in letters])
            db.executemany(ask.NAME, names.items())
            job.ledger.admitted += len(tasks) + len(letters)
            job.ledger.dead += len(letters)
            given_up = sum(letter.entry not in names.values() for letter in letters)
            if given_up:
                db.execute(sql.ADD_TALLY, (*BURIED, given_up))

    def _write(self, points: list[PointRecord], kept: dict[str, bytes]) -> None:
        if points:
            self._store.points.write(points)
        if kept:
            self._store.keep(kept)

    def remove(self, entry: int) -> bool:
        """Delete a task. Return whether it was waiting and not leased."""
        with self._store.writing_job() as (db, job):
            if db.execute(ask.IS_LEASED, (entry,)).fetchone() or not db.execute(ask.REMOVE, (entry,)).rowcount:
                return False
            job.ledger.discarded += 1
        return True

    # -- leases --------------------------------------------------------------------------------------------------

    def lease(self, slots: Iterable[str], now: float, limit: int, holder: str) -> list[ScheduledRetry]:
        """Lease up to *limit* due tasks of some task types to *holder*, the earliest first. Return them."""
        if not self._is_due(slots, now):
            return []
        with self._store.writing() as db:
            rows = [row for slot in slots for row in db.execute(ask.DUE, (slot, now, limit))]
            found = [ScheduledRetry(*row) for row in sorted(rows, key=lambda row: row[1])[:limit]]
            db.executemany(ask.LEASE, [(task.id, holder, now) for task in found])
        return found

    def _is_due(self, slots: Iterable[str], now: float) -> bool:
        first = self.next_due(slots)
        return first is not None and first <= now

    def succeed(self, entry: int, holder: str) -> bool:
        """Delete a task that is done. Return whether *holder* had its lease."""
        with self._store.writing_job() as (db, job):
            if not db.execute(ask.RELEASE, (entry, holder)).rowcount:
                return False
            if db.execute(ask.REMOVE, (entry,)).rowcount:
                job.ledger.done += 1
                db.execute(sql.ADD_TALLY, (*SUCCEEDED, 1))
        return True

    def postpone(self, entry: int, due: float, story: str, holder: str, *, keep: bool = False) -> bool:
        """Make a failed task due again. Return whether *holder* had its lease, which it may *keep*."""
        with self._store.writing() as db:
            if not db.execute(ask.RETURN if keep else ask.RELEASE, (entry, holder)).rowcount:
                return False
            db.execute(ask.POSTPONE, (due, story, entry))
        return True

    def bury(self, letter: DeadLetter, holder: str) -> bool:
        """Replace a task by its dead *letter*. Return whether *holder* had its lease."""
        with self._store.writing_job() as (db, job):
            if not db.execute(ask.RELEASE, (letter.entry, holder)).rowcount:
                return False
            if db.execute(ask.REMOVE, (letter.entry,)).rowcount:
                self._bury(db, job, letter)
        return True

    def release(self, entry: int, holder: str) -> None:
        """End the lease of a task, which stays as it was."""
        with self._store.writing() as db:
            db.execute(ask.RELEASE, (entry, holder))

    def give_back(self, entry: int, holder: str) -> None:
        """Return a task whose handler has not ended yet. Nobody can lease it before *holder* retires or dies."""
        with self._store.writing() as db:
            db.execute(ask.RETURN, (entry, holder))

    def break_leases(
        self, holder: LeaseHolder, charge: Callable[[ScheduledRetry], tuple[float, str] | DeadLetter]
    ) -> int:
        """End the leases of dead holders. Return their number.

        :param charge: returns due time and story of a task whose holder died, or its dead letter.
        """
        with self._store.reading() as db:
            holders = [row[0] for row in db.execute(ask.HOLDERS)]
        if not any(name != holder.name for name in holders):
            return 0
        freed = 0
        with self._store.writing_job() as (db, job):
            for (name,) in db.execute(ask.HOLDERS).fetchall():
                if not holder.is_alive(name):
                    for row in db.execute(ask.LEASED_BY, (name,)).fetchall():
                        self._charge(db, job, charge(ScheduledRetry(*row)), row[0])
                    freed += db.execute(ask.RELEASE_ALL, (name,)).rowcount
        return freed

    def _charge(
        self, db: sqlite3.Connection, job: JobRecord, verdict: tuple[float, str] | DeadLetter, entry: int
    ) -> None:
        if isinstance(verdict, DeadLetter):
            db.execute(ask.REMOVE, (entry,))
            self._bury(db, job, verdict)
        else:
            db.execute(ask.POSTPONE, (*verdict, entry))

    def _bury(self, db: sqlite3.Connection, job: JobRecord, letter: DeadLetter) -> None:
        self._store.box.bury([replace(letter, job=job.id, spider=job.spider)])
        job.ledger.dead += 1
        db.execute(sql.ADD_TALLY, (*BURIED, 1))
