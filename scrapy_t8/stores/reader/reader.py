"""Reads the state of a job without owning it. A crawl may be writing meanwhile and is not held up."""

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

from scrapy_t8.errors import StoreError
from scrapy_t8.model.attempts import ScheduledRetry
from scrapy_t8.model.dead_letter import LetterGroup
from scrapy_t8.model.items import ItemLoss
from scrapy_t8.model.job import JobRecord, PastJob, Run
from scrapy_t8.stores.locks import FileLock
from scrapy_t8.stores.sqlite.dead_letters import SQLiteDeadLetters
from scrapy_t8.stores.sqlite.file import check_file, check_version, no_job
from scrapy_t8.stores.sqlite.items import STRETCH
from scrapy_t8.stores.sqlite.tables import load_job

from . import queries as ask
from .backlog import Backlog


class MissingItem(NamedTuple):
    """An item that is expected and was not collected."""

    key: int
    text: str
    sources: str
    open: int
    cause: str | None
    request: int | None
    url: str | None
    healed: int


class Reader:
    """A snapshot of a state file: everything is as of one moment.

    :param db: a connection that cannot write, in a transaction.
    :param directory: the directory of the state file.
    """

    def __init__(self, db: sqlite3.Connection, directory: Path) -> None:
        self._db = db
        self._directory = directory
        self.backlog = Backlog(db, directory)

    def job(self) -> JobRecord:
        """Return the job.

        :raises JobError: if none has begun in this directory.
        """
        row = self._db.execute(ask.JOB).fetchone()
        if row is None:
            raise no_job(self._directory.parent)
        return load_job(row[0])

    def runs(self) -> list[Run]:
        return [Run(*row) for row in self._db.execute(ask.RUNS)]

    def is_running(self) -> bool:
        """Whether another process owns the job. The owner itself must not call this."""
        lock = FileLock(self._directory / "lock")
        try:
            is_free = lock.own()
        except OSError:
            return False  # nobody can own a job that cannot be written
        lock.release()
        return not is_free

    @cached_property
    def box(self) -> SQLiteDeadLetters:
        """The dead-letter box, which can be read only."""
        return SQLiteDeadLetters(self._db, lambda what: nullcontext(), _refuse_change)

    def sizes(self) -> tuple[int, int, float | None]:
        """Return how many requests are stored, how many wait, and when the first of the latter is due."""
        stored, waiting, due = self._db.execute(ask.SIZES).fetchone()
        return stored, waiting, due

    def hosts(self) -> dict[str, dict[str, Any]]:
        """Return the stored health of each host that is or was down or paused."""
        return {slot: json.loads(record) for slot, record in self._db.execute(ask.HOSTS)}

    def feeds(self) -> dict[str, dict[str, Any]]:
        return {name: json.loads(record) for name, record in self._db.execute(ask.FEEDS)}

    def points(self) -> list[tuple[str, str]]:
        """Return name and record of each resume point."""
        return list(self._db.execute(ask.POINTS))

    def kept(self, name: str) -> dict[str, bytes]:
        row = self._db.execute(ask.KEPT, (name,)).fetchone()
        return {} if row is None else {name: row[0]}

    def kept_as(self, prefix: str) -> dict[str, bytes]:
        """Return what is kept under names that begin with *prefix*."""
        return dict(self._db.execute(ask.KEPT_AS, {"prefix": prefix}))

    def past_jobs(self, spider: str) -> list[PastJob]:
        return [PastJob(*row) for row in self._db.execute(ask.PAST_JOBS, (spider,))]

    def losses(self) -> list[ItemLoss]:
        return [ItemLoss(*row) for row in self._db.execute(ask.LOSSES)]

    def tallies(self) -> dict[str, dict[str, int]]:
        """Return the counts of the job: by what is counted, then by host, callback or kind."""
        tallies: dict[str, dict[str, int]] = {}
        for what, name, count in self._db.execute(ask.TALLY):
            tallies.setdefault(what, {})[name] = count
        return tallies

    def timeline(self, rows: int) -> list[tuple[int, int, int, int]]:
        """Return begin, pages, items and retries of equal stretches of time, about as many as *rows*."""
        return list(self._db.execute(ask.TIMELINE, {"rows": rows}))

    def since(self, when: float) -> tuple[int, int]:
        """Return how many pages have settled and how many items came since *when*, to about ten seconds."""
        pages, items = self._db.execute(ask.SINCE, (when - STRETCH,)).fetchone()
        return pages, items

    def dead_by_host_and_callback(self, job: str) -> list[tuple[str, str, int]]:
        return list(self._db.execute(ask.DEAD_BY_HOST_AND_CALLBACK, (job,)))

    def dead_by_failure(self, job: str) -> list[tuple[str, int | None, int]]:
        """Return how many requests of *job* are dead, by kind of failure and status."""
        return list(self._db.execute(ask.DEAD_BY_FAILURE, (job,)))

    def dead_errors(self, job: str, kind: str, status: int | None, limit: int) -> list[tuple[str, str, int]]:
        """Return the errors of one failure, each with its callback and count, the most frequent first."""
        return list(self._db.execute(ask.DEAD_ERRORS, (job, kind, status, limit)))

    def dead_examples(self, job: str, kind: str, status: int | None, limit: int) -> list[tuple[str, str, str]]:
        """Return URL, callback and error of up to *limit* dead letters of one failure."""
        return list(self._db.execute(ask.DEAD_EXAMPLES, (job, kind, status, max(0, limit))))

    def dead_tasks(self) -> dict[str, int]:
        """Return how many tasks of a service are given up, by task type."""
        return dict(self._db.execute(ask.DEAD_TASKS))

    def dead_groups(self, job: JobRecord, limit: int) -> list[LetterGroup]:
        values = {"job": job.id, "spider": job.spider, "limit": limit}
        return [LetterGroup(*row) for row in self._db.execute(ask.DEAD_GROUPS, values)]

    def waiting(self) -> Iterator[tuple[int, bytes, str]]:
        """Yield id, payload and attempt history of each request that waits."""
        return self._db.execute(ask.WAITING)

    def all_waiting(self) -> Iterator[ScheduledRetry]:
        return (ScheduledRetry(*row) for row in self._db.execute(ask.ALL_WAITING))

    def one_waiting(self, entry: int) -> tuple[float, bytes, str]:
        """Return due time, payload and attempt history of a request that waits."""
        due, payload, story = self._db.execute(ask.ONE_WAITING, (entry,)).fetchone()
        return due, payload, story

    # -- expected items ------------------------------------------------------------------------------------------

    def announced(self) -> dict[str, int]:
        """Return the announced number of items by source."""
        return dict(self._db.execute(ask.ANNOUNCED))

    def by_sources(self, number: int) -> list[tuple[str, int, int]]:
        """Return sources (one a line), the number of keys that exactly these announced, how many of those are there."""
        return list(self._db.execute(ask.BY_SOURCES, {"number": number}))

    def missing(self, number: int) -> Iterator[MissingItem]:
        """Yield the expected items of job *number* that were not collected, by key."""
        return (MissingItem(*row) for row in self._db.execute(ask.MISSING, {"number": number}))

    def healed(self, number: int) -> tuple[int, int, int]:
        """Return how many items heal() asked for, how many of them came, how many cannot be requested."""
        asked, collected, impossible = self._db.execute(ask.HEALED, {"number": number}).fetchone()
        return asked, collected, impossible

    def payload(self, key: int) -> bytes | None:
        """Return the stored request that did not bring an expected item, if there is one."""
        row = self._db.execute(ask.PAYLOAD, (key,)).fetchone()
        return None if row is None else row[0]

    def letter(self, fingerprint: int) -> tuple[int, str, str, int | None, str] | None:
        """Return number, kind, error, status and URL of the newest dead letter of a request."""
        row: tuple[int, str, str, int | None, str] | None = self._db.execute(ask.LETTER, (fingerprint,)).fetchone()
        return row

    # -- recounting ----------------------------------------------------------------------------------------------

    def damage(self) -> str:
        """Return what is wrong with the file, page by page, or "". It takes about a second for each gigabyte."""
        try:
            found = str(self._db.execute(ask.QUICK_CHECK).fetchone()[0])
        except sqlite3.DatabaseError as error:
            return str(error)
        return "" if found == "ok" else found

    def count_dead(self, job: str) -> int:
        count: int = self._db.execute(ask.COUNT_DEAD, (job,)).fetchone()[0]
        return count

    def wrong_queues(self) -> list[tuple[str, int, int]]:
        """Return key, noted and real number of entries of each queue where the two numbers differ."""
        return list(self._db.execute(ask.WRONG_QUEUES))

    def strays(self) -> tuple[int, int]:
        """Return how many entries are in no queue, and how many dead letters have no body."""
        homeless, bodiless = (self._db.execute(question).fetchone()[0] for question in (ask.HOMELESS, ask.BODILESS))
        return homeless, bodiless


def _refuse_change() -> NoReturn:
    raise TypeError("a reader changes nothing")


@contextmanager
def open_read_only(directory: Path) -> Iterator[Reader]:
    """Open the state in *directory* (the ``t8`` of a job directory) as it is now. Nothing is created.

    :raises JobError: if there is no state.
    :raises StoreError: if the state cannot be read.
    """
    path = directory / "state.db"
    if not path.exists():
        raise no_job(directory.parent)
    try:
        check_file(path)
    except OSError as error:
        raise StoreError(f"cannot read the state in {directory}: {error}") from error
    # An OSError of the block is not about the state: it comes from the files that the caller writes meanwhile.
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
    """Return how to open the state file.

    In a directory that cannot be written, SQLite cannot read beside a crawl. But a state file without a log there, as
    in a backup, has no writer, and can be read as it is.
    """
    log = path.with_name(f"{path.name}-wal")
    return "mode=ro" if os.access(path.parent, os.W_OK) or log.exists() else "mode=ro&immutable=1"
