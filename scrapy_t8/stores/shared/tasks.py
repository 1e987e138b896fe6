"""The tasks of the service in SQLite: rows of ``waiting`` whose slot is the task type, and their leases."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from scrapy_t8.errors import StoreError
from scrapy_t8.model.attempts import ScheduledRetry
from scrapy_t8.model.batch import PointRecord
from scrapy_t8.model.dead_letter import DeadLetter
from scrapy_t8.model.failed_task import id_of, joined, name_of, record_of, service_entry
from scrapy_t8.model.job import JobRecord
from scrapy_t8.stores.sqlite.tables import sql
from scrapy_t8.utils.log.loggers import get_logger

from .store import SharedStore, ask

logger = get_logger(__name__)

SUCCEEDED, BURIED = ("outcomes", "succeeded"), ("outcomes", "buried")
"""Counters of tasks, the same as those of requests."""
AT_ONCE = 1000
"""Tasks that one statement reads where all are wanted."""

Verdict: TypeAlias = "tuple[float, str] | DeadLetter"
"""Due time and attempt history of a task that failed, or its dead letter."""
Judge: TypeAlias = "Callable[[ScheduledRetry], Verdict | None]"
"""Returns what becomes of a task: a verdict, or None if it is done."""


class TaskBatch:
    """Everything that one commit of the service writes."""

    def __init__(self) -> None:
        self.points: dict[tuple[str, str], PointRecord] = {}
        self.history: list[PointRecord] = []
        self.tasks: dict[str, ScheduledRetry] = {}
        """New tasks, or more of what is known of tasks that wait, by the names of their targets."""
        self.letters: list[DeadLetter] = []
        """New tasks that are dead already."""
        self.names: dict[str, int] = {}
        """The entries of tasks whose ids were made elsewhere."""
        self.kept: dict[str, bytes] = {}

    def add_task(self, task: ScheduledRetry) -> None:
        """Add a task, or more of what is known of one that is added already."""
        name = name_of(task)
        earlier = self.tasks.get(name)
        self.tasks[name] = task if earlier is None else joined(earlier, task, afresh=False)
        if earlier is not None and earlier.id != task.id:
            self.names[id_of(task)] = earlier.id

    def add_point(self, point: PointRecord) -> None:
        """Add a change of a resume point. Of several changes of a point, the last and the historic ones are written."""
        before = self.points.get((point.task_type, point.name))
        if before is not None and before.historic:
            self.history.append(before)
        self.points[point.task_type, point.name] = point


class SQLiteTasks:
    """The tasks in *store*. Each change is one transaction, with the ledger of the job. *holder* has the leases."""

    def __init__(self, store: SharedStore, holder: str = "") -> None:
        self._store = store
        self._holder = holder

    def outcomes(self) -> tuple[int, int]:
        """Return how many tasks have succeeded, and how many were given up, since the state began."""
        counts = {(what, name): count for what, name, count in self._store.rows(ask.TALLY)}
        return counts.get(SUCCEEDED, 0), counts.get(BURIED, 0)

    # -- reading -------------------------------------------------------------------------------------------------

    def get(self, entry: int) -> ScheduledRetry | None:
        """Return the waiting task that is stored as *entry*."""
        return next((ScheduledRetry(*row) for row in self._store.rows(ask.GET, (entry,))), None)

    def named(self, task_id: str) -> int | None:
        """Return the entry of a task that was imported with this id."""
        entry: int | None = self._store.value(ask.NAMED, (task_id,))
        return entry

    def waiting_for(self, name: str) -> ScheduledRetry | None:
        """Return the task that waits for the target of this *name*."""
        return next((ScheduledRetry(*row) for row in self._store.rows(ask.WAITING_FOR, (name,))), None)

    def letter(self, entry: int, job: str) -> DeadLetter | None:
        """Return the dead letter of *entry*."""
        number = self._store.value(ask.DEAD_ENTRY, (entry, job))
        return None if number is None else self._store.box.letter(number)

    def all(self, slot: str | None = None) -> Iterator[ScheduledRetry]:
        """Yield the waiting tasks, of one task type or of all, in the order in which they were added."""
        last = 0
        while rows := self._store.rows(ask.SOME, {"slot": slot, "last": last, "limit": AT_ONCE}):
            yield from (ScheduledRetry(*row) for row in rows)
            last = rows[-1][0]

    def count(self) -> int:
        """Return the number of waiting tasks."""
        return int(self._store.value(ask.COUNT))

    def slots(self) -> set[str]:
        """Return the task types of the waiting tasks."""
        return {row[0] for row in self._store.rows(ask.TYPES)}

    def next_due(self, slots: Iterable[str]) -> float | None:
        """Return when the first task of some task types is due that is not leased."""
        found = [self._store.value(ask.NEXT_DUE, (slot,)) for slot in slots]
        return min((due for due in found if due is not None), default=None)

    # -- adding and removing -------------------------------------------------------------------------------------

    def reserve(self, count: int) -> int:
        """Reserve *count* successive entries for new tasks. Return the first."""
        with self._store.writing_job() as (_, job):
            first = job.next_seq
            job.next_seq += count
        return first

    def commit(self, batch: TaskBatch) -> None:
        """Write everything in one transaction."""
        with self._store.writing() as db:
            self._store.points.write([*batch.history, *batch.points.values()])
            db.executemany(sql.PUT_KEPT, batch.kept.items())
            if batch.tasks or batch.letters:
                with self._store.changing_job() as job:
                    self._add(db, job, batch)

    def _add(self, db: sqlite3.Connection, job: JobRecord, batch: TaskBatch) -> None:
        db.executemany(ask.NAME, batch.names.items())
        added = sum(self._add_or_join(db, name, task) for name, task in batch.tasks.items())
        job.ledger.admitted += added + len(batch.letters)
        given_up = sum(letter.entry not in batch.names.values() for letter in batch.letters)
        self._bury(db, job, batch.letters, given_up=given_up)

    def _add_or_join(self, db: sqlite3.Connection, name: str, task: ScheduledRetry) -> bool:
        """Add *task*, or join it with the task that waits for its target. Return whether it was added."""
        row = db.execute(ask.WAITING_FOR, (name,)).fetchone()
        if row is None:
            db.execute(ask.ADD, task)
            db.execute(ask.NAME, (name, task.id))
            return True
        kept = ScheduledRetry(*row)
        db.execute(ask.JOIN, joined(kept, task, afresh=False)._asdict())
        if kept.id != task.id:  # another process was quicker, after the id was returned here
            db.execute(ask.NAME, (id_of(task), kept.id))
        return False

    def join_doubles(self) -> None:
        """Name each waiting task by its target, and join those of one target.

        For what was not added by :meth:`commit`: dead tasks that were revived, states of another release.
        """
        with self._store.writing_job() as (db, job):
            leased = {entry for (entry,) in db.execute(ask.ALL_LEASED)}
            kept: dict[str, int] = {}
            for (entry,) in db.execute(ask.ALL_WAITING).fetchall():
                task = ScheduledRetry(*db.execute(ask.GET, (entry,)).fetchone())
                try:
                    name, task_id = name_of(task), id_of(task)
                except StoreError as error:
                    logger.error("%s", error)
                    continue
                if service_entry(task_id, job.id) != entry:
                    db.execute(ask.NAME, (task_id, entry))
                first = kept.setdefault(name, entry)
                if first == entry or {first, entry} <= leased:
                    continue
                if entry in leased:
                    kept[name], entry, first = entry, first, entry
                self._join(db, first, entry)
                job.ledger.discarded += 1
            db.executemany(ask.NAME, kept.items())

    def _join(self, db: sqlite3.Connection, entry: int, other: int) -> None:
        """Let the task that is stored as *other* end in *entry*, where its id leads from now on."""
        kept, ended = (ScheduledRetry(*db.execute(ask.GET, (one,)).fetchone()) for one in (entry, other))
        db.execute(ask.JOIN, joined(kept, ended, afresh=True)._asdict())
        db.execute(ask.REMOVE, (other,))
        db.execute(ask.NAME, (id_of(ended), entry))

    def adopt(self, job: JobRecord) -> None:
        """Name the tasks of a state that another release has written or that was salvaged, and join doubles; once."""
        marker = f"named {job.id}"
        if self.named(marker) is not None:
            return
        bodies = (self._store.box.letter(letter.id) for letter in self._store.box.letters())
        letters = [letter for letter in bodies if letter is not None and letter.job == job.id]
        self.join_doubles()
        with self._store.writing() as db:
            db.executemany(ask.NAME, [(record_of(letter.payload).task_id, letter.entry) for letter in letters])
            db.execute(ask.NAME, (marker, 0))

    def remove(self, entry: int) -> bool:
        """Delete a task. Return whether it was waiting and not leased."""
        with self._store.writing_job() as (db, job):
            row = db.execute(ask.GET, (entry,)).fetchone()
            if row is None or db.execute(ask.IS_LEASED, (entry,)).fetchone():
                return False
            self._take_out(db, ScheduledRetry(*row))
            job.ledger.discarded += 1
        return True

    # -- leases --------------------------------------------------------------------------------------------------

    def lease(self, slots: Iterable[str], now: float, limit: int) -> list[ScheduledRetry]:
        """Lease up to *limit* due tasks of some task types, the earliest first. Return them."""
        first = self.next_due(slots)
        if first is None or first > now:
            return []
        with self._store.writing() as db:
            rows = [row for slot in slots for row in db.execute(ask.DUE, (slot, now, limit))]
            found = [ScheduledRetry(*row) for row in sorted(rows, key=lambda row: row[1])[:limit]]
            db.executemany(ask.LEASE, [(task.id, self._holder, now) for task in found])
        return found

    def settle(self, entry: int, judge: Judge, *, keep: bool = False) -> bool:
        """End the lease of a task. Return whether it was there.

        :param judge: is given the task as it is stored now, and returns what becomes of it.
        :param keep: keep the lease of a task that is due again.
        """
        with self._store.writing_job() as (db, job):
            row = db.execute(ask.LEASED, (entry, self._holder)).fetchone()
            if row is None:
                return False
            task = ScheduledRetry(*row)
            verdict = judge(task)
            keep = keep and not isinstance(verdict, DeadLetter)
            db.execute(ask.RETURN if keep else ask.RELEASE, (entry, self._holder))
            if verdict is not None:
                self._charge(db, job, task, verdict)
            else:
                self._take_out(db, task)
                job.ledger.done += 1
                db.execute(sql.ADD_TALLY, (*SUCCEEDED, 1))
        return True

    def release(self, entry: int) -> None:
        """End the lease of a task, which stays as it was."""
        with self._store.writing() as db:
            db.execute(ask.RELEASE, (entry, self._holder))

    def give_back(self, entry: int) -> None:
        """Return a task whose handler has not ended yet. Nobody can lease it before this process retires or dies."""
        with self._store.writing() as db:
            db.execute(ask.RETURN, (entry, self._holder))

    def break_leases(self, is_alive: Callable[[str], bool], charge: Callable[[ScheduledRetry], Verdict]) -> int:
        """End the leases of dead holders. Return their number.

        :param is_alive: whether the holder of a name is alive.
        :param charge: returns what becomes of a task whose holder died.
        """
        if not any(name != self._holder for (name,) in self._store.rows(ask.HOLDERS)):
            return 0
        freed = 0
        with self._store.writing_job() as (db, job):
            for (name,) in db.execute(ask.HOLDERS).fetchall():
                if not is_alive(name):
                    for task in [ScheduledRetry(*row) for row in db.execute(ask.LEASED_BY, (name,))]:
                        self._charge(db, job, task, charge(task))
                    freed += db.execute(ask.RELEASE_ALL, (name,)).rowcount
        return freed

    def _charge(self, db: sqlite3.Connection, job: JobRecord, task: ScheduledRetry, verdict: Verdict) -> None:
        if not isinstance(verdict, DeadLetter):
            db.execute(ask.POSTPONE, (*verdict, task.id))
        else:
            self._take_out(db, task, keep_id=True)
            self._bury(db, job, [verdict], given_up=1)

    def _take_out(self, db: sqlite3.Connection, task: ScheduledRetry, *, keep_id: bool = False) -> None:
        """Delete a waiting task and the name of its target; also the name that is its id, unless a letter keeps it."""
        db.execute(ask.REMOVE, (task.id,))
        db.executemany(ask.FORGET_NAME, [(name_of(task),)] + [(id_of(task),)] * (not keep_id))

    def _bury(self, db: sqlite3.Connection, job: JobRecord, letters: list[DeadLetter], *, given_up: int) -> None:
        self._store.box.bury([letter._replace(job=job.id, spider=job.spider) for letter in letters])
        job.ledger.dead += len(letters)
        if given_up:
            db.execute(sql.ADD_TALLY, (*BURIED, given_up))
