"""Looks into the state of a job without owning it: a crawl may be writing meanwhile, and notices nothing."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from urllib.parse import quote

from scrapy_t8.errors import JobError, StoreError
from scrapy_t8.model.attempts import ScheduledRetry
from scrapy_t8.model.dead_letter import LetterGroup
from scrapy_t8.model.items import ItemLoss
from scrapy_t8.model.job import JobRecord, PastJob, Run
from scrapy_t8.stores.locks import FileLock
from scrapy_t8.stores.sqlite.dead_letters import SQLiteDeadLetters
from scrapy_t8.stores.sqlite.file import check_file, check_version
from scrapy_t8.stores.sqlite.items import STRETCH
from scrapy_t8.stores.sqlite.tables import load_job

from . import queries as ask
from .backlog import Backlog


class MissingItem(NamedTuple):
    """An item that is expected, and has not come."""

    key: int
    text: str
    sources: str
    open: int
    cause: str | None
    request: int | None
    url: str | None
    healed: int


class Reader:
    """One look at a state file: everything is as of one moment.

    :param db: a connection that cannot write, in a transaction.
    :param directory: where the state file is.
    """

    def __init__(self, db: sqlite3.Connection, directory: Path) -> None:
        self._db = db
        self._directory = directory

    def job(self) -> JobRecord | None:
        row = self._db.execute(ask.JOB).fetchone()
        return None if row is None else load_job(row[0])

    def runs(self) -> list[Run]:
        return [Run(*row) for row in self._db.execute(ask.RUNS)]

    def is_running(self) -> bool:
        """Whether a process owns the job. Not to be asked by that process itself."""
        lock = FileLock(self._directory / "lock")
        try:
            is_free = lock.own()
        except OSError:
            return False  # nobody can own what cannot be written
        lock.release()
        return not is_free

    def in_flight(self) -> int:
        """How many requests the last run has noted as being under way."""
        return len(self.pending.leased())

    @property
    def pending(self) -> Backlog:
        """What is to be done still."""
        return Backlog(self._db, self._directory)

    @cached_property
    def box(self) -> SQLiteDeadLetters:
        """The dead-letter box, to be looked into."""
        return SQLiteDeadLetters(self._db, lambda what: nullcontext(), _nothing_changes)

    def sizes(self) -> tuple[int, int, float | None]:
        """How many entries there are, how many wait, and when the first of these is due."""
        stored, waiting, due = self._db.execute(ask.SIZES).fetchone()
        return stored, waiting, due

    def by_host(self, job: str) -> dict[str, dict[str, int]]:
        """What is ready, waiting and dead, by host."""
        asked = {
            "ready": (ask.READY_BY_SLOT, ()),
            "waiting": (ask.WAITING_BY_SLOT, ()),
            "dead": (ask.DEAD_BY_HOST, (job,)),
        }
        return {what: dict(self._db.execute(query, values)) for what, (query, values) in asked.items()}

    def hosts(self) -> dict[str, dict[str, Any]]:
        return {slot: json.loads(record) for slot, record in self._db.execute(ask.HOSTS)}

    def feeds(self) -> dict[str, dict[str, Any]]:
        return {name: json.loads(record) for name, record in self._db.execute(ask.FEEDS)}

    def points(self) -> list[tuple[str, str]]:
        """Name and record of each resume point."""
        return list(self._db.execute(ask.POINTS))

    def kept(self, name: str) -> dict[str, bytes]:
        row = self._db.execute(ask.KEPT, (name,)).fetchone()
        return {} if row is None else {name: row[0]}

    def kept_as(self, prefix: str) -> dict[str, bytes]:
        """What is kept under names that begin with *prefix*."""
        return dict(self._db.execute(ask.KEPT_AS, {"prefix": prefix}))

    def past_jobs(self, spider: str) -> list[PastJob]:
        return [PastJob(*row) for row in self._db.execute(ask.PAST_JOBS, (spider,))]

    def losses(self) -> list[ItemLoss]:
        return [ItemLoss(*row) for row in self._db.execute(ask.LOSSES)]

    def tally(self) -> list[tuple[str, str, int]]:
        return list(self._db.execute(ask.TALLY))

    def timeline(self, rows: int) -> list[tuple[int, int, int, int]]:
        """Beginning, pages, items and retries of each stretch of time, of which there are about so many."""
        return list(self._db.execute(ask.TIMELINE, {"rows": rows}))

    def since(self, when: float) -> tuple[int, int]:
        """How many pages have settled since a time, and how many items came, to about ten seconds."""
        pages, items = self._db.execute(ask.SINCE, (when - STRETCH,)).fetchone()
        return pages, items

    def dead_by_host_and_callback(self, job: str) -> list[tuple[str, str, int]]:
        return list(self._db.execute(ask.DEAD_BY_HOST_AND_CALLBACK, (job,)))

    def dead_tasks(self) -> dict[str, int]:
        """By task type, how many tasks are given up."""
        return dict(self._db.execute(ask.DEAD_TASKS))

    def dead_groups(self, job: JobRecord, limit: int) -> list[LetterGroup]:
        values = {"job": job.id, "spider": job.spider, "limit": limit}
        return [LetterGroup(*row) for row in self._db.execute(ask.DEAD_GROUPS, values)]

    def waiting(self) -> Iterator[tuple[int, bytes, str]]:
        """Id, payload and story of all that waits."""
        return self._db.execute(ask.WAITING)

    def all_waiting(self) -> Iterator[ScheduledRetry]:
        return (ScheduledRetry(*row) for row in self._db.execute(ask.ALL_WAITING))

    def one_waiting(self, entry: int) -> tuple[float, bytes, str]:
        """Due time, payload and story of one."""
        due, payload, story = self._db.execute(ask.ONE_WAITING, (entry,)).fetchone()
        return due, payload, story

    # -- what is expected ----------------------------------------------------------------------------------------

    def announced(self) -> dict[str, int]:
        return dict(self._db.execute(ask.ANNOUNCED))

    def by_sources(self, number: int) -> list[tuple[str, int, int]]:
        """Sources, a line each; the keys that just these have announced; how many of them are collected."""
        return list(self._db.execute(ask.BY_SOURCES, {"number": number}))

    def missing(self, number: int) -> Iterator[MissingItem]:
        """What is expected of job *number* and is not there, by key."""
        return (MissingItem(*row) for row in self._db.execute(ask.MISSING, {"number": number}))

    def healed(self, number: int) -> tuple[int, int, int]:
        """Of how many items the healing was asked for, how many came, for how many there is no way."""
        asked, collected, impossible = self._db.execute(ask.HEALED, {"number": number}).fetchone()
        return asked, collected, impossible

    def payload(self, key: int) -> bytes | None:
        """The stored request that has come to nothing for an expected item, if there is one."""
        row = self._db.execute(ask.PAYLOAD, (key,)).fetchone()
        return None if row is None else row[0]

    def letter(self, fingerprint: int) -> tuple[int, str, str, int | None, str] | None:
        """Number, kind, error, status and URL of the newest dead letter of a request."""
        row: tuple[int, str, str, int | None, str] | None = self._db.execute(ask.LETTER, (fingerprint,)).fetchone()
        return row

    # -- recounting ----------------------------------------------------------------------------------------------

    def damage(self) -> str:
        """What is wrong with the file, page by page; empty if nothing is. It takes a second for a gigabyte."""
        try:
            found = str(self._db.execute(ask.QUICK_CHECK).fetchone()[0])
        except sqlite3.DatabaseError as error:
            return str(error)
        return "" if found == "ok" else found

    def count_dead(self, job: str) -> int:
        count: int = self._db.execute(ask.COUNT_DEAD, (job,)).fetchone()[0]
        return count

    def count_superseded(self) -> int:
        count: int = self._db.execute(ask.COUNT_SUPERSEDED).fetchone()[0]
        return count

    def wrong_queues(self) -> list[tuple[str, int, int]]:
        """Key, noted and real number of entries of the queues where these differ."""
        return list(self._db.execute(ask.WRONG_QUEUES))

    def strays(self) -> tuple[int, int]:
        """Entries that are in no queue, dead letters without a body."""
        homeless, bodiless = (self._db.execute(question).fetchone()[0] for question in (ask.HOMELESS, ask.BODILESS))
        return homeless, bodiless


def _nothing_changes() -> NoReturn:
    raise TypeError("a reader changes nothing")


@contextmanager
def reading(directory: Path) -> Iterator[Reader]:
    """The state in *directory* (the ``t8`` of a job directory), as of now.

    :raises JobError: if there is none. None is made.
    :raises StoreError: if it cannot be read.
    """
    path = directory / "state.db"
    if not path.exists():
        raise JobError(f"there is no job in {directory.parent}: give the JOBDIR of a crawl that ran with scrapy_t8")
    try:
        check_file(path)
    except OSError as error:
        raise StoreError(f"cannot read the state in {directory}: {error}") from error
    # What goes wrong with the files that a reader writes meanwhile is not about the state.
    try:
        db = sqlite3.connect(f"file:{quote(str(path.absolute()))}?{_mode(path)}", uri=True, isolation_level=None)
        try:
            check_version(db, path)
            db.execute("BEGIN")
            yield Reader(db, directory)
        finally:
            db.close()
    except sqlite3.Error as error:
        raise StoreError(f"cannot read the state in {directory}: {error}") from error


def _mode(path: Path) -> str:
    """How to open the state file. Where nothing can be written, SQLite cannot read as it does beside a crawl; but a
    file without a log, as in a backup, has nobody who writes it."""
    log = path.with_name(f"{path.name}-wal")
    return "mode=ro" if os.access(path.parent, os.W_OK) or log.exists() else "mode=ro&immutable=1"
