"""Reads the state of a job without owning it. A crawl may be writing, and is not blocked."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from urllib.parse import quote

from scrapy_t8.errors import StoreError, remedy
from scrapy_t8.model.attempts import ScheduledRetry
from scrapy_t8.model.dead_letter import LetterGroup
from scrapy_t8.model.items import ItemLoss
from scrapy_t8.model.job import JobRecord, PastJob, Run
from scrapy_t8.stores.locks import FileLock
from scrapy_t8.stores.sqlite.dead_letters import SQLiteDeadLetters
from scrapy_t8.stores.sqlite.file import (
    check_access,
    check_directory,
    check_file,
    check_schema,
    check_version,
    damage_of,
    distrust,
    no_job,
)
from scrapy_t8.stores.sqlite.items import STRETCH
from scrapy_t8.stores.sqlite.tables import SQLiteReader, load_job, sql

from .backlog import Backlog, ask


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


class Reader(SQLiteReader):
    """A snapshot of the state file in *directory*, as of one moment. *db* cannot write, and is in a transaction."""

    def __init__(self, db: sqlite3.Connection, directory: Path) -> None:
        self._db = db
        self._directory = directory
        self.backlog = Backlog(db, directory)

    def job(self) -> JobRecord:
        """Return the job, or raise a JobError if none has begun in this directory."""
        record = self.value(sql.GET_JOB)
        if record is None:
            raise no_job(self._directory.parent)
        return load_job(record)

    def runs(self) -> list[Run]:
        return [Run(*row) for row in self.rows(ask.RUNS)]

    def is_running(self) -> bool:
        """Whether another process owns the job. The owner itself must not call this."""
        lock = FileLock(self._directory / "lock")
        try:
            is_free = lock.own()
        except OSError:
            return False  # no process can own a job that cannot be written
        lock.release()
        return not is_free

    @cached_property
    def box(self) -> SQLiteDeadLetters:
        """The dead-letter box, which can be read only."""
        return SQLiteDeadLetters(self._db, self._reading, _refuse_change)

    def _reading(self, what: str) -> AbstractContextManager[None]:
        return nullcontext()  # open_read_only() names what has failed

    def sizes(self) -> tuple[int, int, float | None]:
        """Return how many requests are stored, how many wait, and when the first of the latter is due."""
        return self._row(ask.SIZES)

    def points(self) -> list[tuple[str, str]]:
        """Return name and record of each resume point."""
        return self.rows(ask.POINTS)

    def kept(self, name: str) -> dict[str, bytes]:
        return dict(self.rows(ask.KEPT, (name,)))

    def kept_as(self, prefix: str) -> dict[str, bytes]:
        """Return the stored data whose names begin with *prefix*."""
        return dict(self.rows(sql.GET_KEPT, {"prefix": prefix}))

    def past_jobs(self, spider: str) -> list[PastJob]:
        return [PastJob(*row) for row in self.rows(ask.PAST_JOBS, (spider,))]

    def losses(self) -> list[ItemLoss]:
        return [ItemLoss(*row) for row in self.rows(ask.LOSSES)]

    def tallies(self) -> dict[str, dict[str, int]]:
        """Return the counts of the job: by what is counted, then by host, callback or kind."""
        tallies: dict[str, dict[str, int]] = {}
        for what, name, count in self.rows(ask.TALLY):
            tallies.setdefault(what, {})[name] = count
        return tallies

    def timeline(self, rows: int) -> list[tuple[int, int, int, int]]:
        """Return begin, pages, items and retries of equal stretches of time, about as many as *rows*."""
        return self.rows(ask.TIMELINE, {"rows": rows})

    def since(self, when: float) -> tuple[int, int]:
        """Return how many pages have settled and how many items came since *when*, to about ten seconds."""
        return self._row(ask.SINCE, (when - STRETCH,))

    def dead_by_host_and_callback(self, job: str) -> list[tuple[str, str, int]]:
        return self.rows(ask.DEAD_BY_HOST_AND_CALLBACK, (job,))

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
        return dict(self.rows(ask.DEAD_TASKS))

    def dead_groups(self, job: JobRecord, limit: int) -> list[LetterGroup]:
        values = {"job": job.id, "spider": job.spider, "limit": limit}
        return [LetterGroup(*row) for row in self.rows(ask.DEAD_GROUPS, values)]

    def waiting(self) -> Iterator[tuple[int, bytes, str]]:
        """Yield id, payload and attempt history of each request that waits."""
        return self._db.execute(ask.WAITING)

    def all_waiting(self) -> Iterator[ScheduledRetry]:
        return (ScheduledRetry(*row) for row in self._db.execute(ask.ALL_WAITING))

    def one_waiting(self, entry: int) -> tuple[float, bytes, str]:
        """Return due time, payload and attempt history of a request that waits."""
        return self._row(ask.ONE_WAITING, (entry,))

    # -- expected items ------------------------------------------------------------------------------------------

    def announced(self) -> dict[str, int]:
        """Return the announced number of items by source."""
        return dict(self.rows(ask.ANNOUNCED))

    def by_sources(self, number: int) -> list[tuple[str, int, int]]:
        """Return sources (one a line), the number of keys that exactly these announced, how many of those are there."""
        return self.rows(ask.BY_SOURCES, {"number": number})

    def missing(self, number: int) -> Iterator[MissingItem]:
        """Yield the expected items of job *number* that were not collected, by key."""
        return (MissingItem(*row) for row in self._db.execute(ask.MISSING, {"number": number}))

    def healed(self, number: int) -> tuple[int, int, int]:
        """Return how many items heal() requested, how many of them came, how many cannot be requested."""
        return self._row(ask.HEALED, {"number": number})

    def payload(self, key: int) -> bytes | None:
        """Return the stored request that did not bring an expected item, if there is one."""
        payload: bytes | None = self.value(ask.PAYLOAD, (key,))
        return payload

    def letter(self, fingerprint: int) -> tuple[int, str, str, int | None, str] | None:
        """Return number, kind, error, status and URL of the newest dead letter of a request."""
        letters: list[tuple[int, str, str, int | None, str]] = self.rows(ask.LETTER, (fingerprint,))
        return letters[0] if letters else None

    # -- recounting ----------------------------------------------------------------------------------------------

    def damage(self) -> str:
        """Return the damage of any page of the file, or "". It takes about a second for each gigabyte."""
        return damage_of(self._db)

    def count_dead(self, job: str) -> int:
        return int(self.value(ask.COUNT_DEAD, (job,)))

    def wrong_queues(self) -> list[tuple[str, int, int]]:
        """Return key, noted and real number of entries of each queue where the two numbers differ."""
        return self.rows(ask.WRONG_QUEUES)

    def strays(self) -> tuple[int, int]:
        """Return how many entries are in no queue, and how many dead letters have no body."""
        return self.value(ask.HOMELESS), self.value(ask.BODILESS)

    def _row(self, statement: str, values: Any = ()) -> tuple[Any, ...]:
        """Return the only row that *statement* finds."""
        (row,) = self.rows(statement, values)
        return tuple(row)


def _refuse_change() -> NoReturn:
    raise TypeError("a reader changes nothing")


@contextmanager
def open_read_only(directory: Path) -> Iterator[Reader]:
    """Open the state in *directory* (the ``t8`` of a job directory) as it is now. Nothing is created.

    :raises JobError: if there is no state.
    :raises StoreError: if the state cannot be read.
    """
    path = directory / "state.db"
    check_access(directory, writes=False)
    if not path.exists():
        raise no_job(directory.parent)
    check_directory(directory)
    try:
        check_file(path)
    except OSError as error:
        raise StoreError(f"cannot read the state in {directory}: {error}. {remedy(error)}") from error
    # An OSError of the block is not about the state: it comes from the files that the caller writes meanwhile.
    try:
        db = sqlite3.connect(f"file:{quote(str(path.absolute()))}?{_mode(path)}", uri=True, isolation_level=None)
        try:
            distrust(db)
            check_version(db, path)
            check_schema(db, path)
            db.execute("BEGIN")
            yield Reader(db, directory)
        finally:
            db.close()
    except sqlite3.Error as error:
        raise StoreError(f"cannot read the state in {directory}: {error}. {remedy(error)}") from error


def _mode(path: Path) -> str:
    """Return how to open the state file.

    In a directory that cannot be written, SQLite cannot read beside a crawl. But a state file without a log there, as
    in a backup, has no writer, and can be read as it is.
    """
    log = path.with_name(f"{path.name}-wal")
    return "mode=ro" if os.access(path.parent, os.W_OK) or log.exists() else "mode=ro&immutable=1"
