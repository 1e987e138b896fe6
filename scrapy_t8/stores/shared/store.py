"""The state file of the service, which several processes and their threads use together.

The lock that a crawl holds alone is held here together: a service and a crawl exclude each other, services do not. One
process at a time writes, checkpoints, opens or closes, and each with one connection: releases of SQLite up to 3.51.2
can lose a reset of the log when two do at the same instant.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock

from scrapy_t8.errors import JobLocked, StoreDamaged, StoreError, StoreVersion, remedy
from scrapy_t8.model.job import JobRecord
from scrapy_t8.stores.locks import FileLock
from scrapy_t8.stores.sqlite import queries as sql
from scrapy_t8.stores.sqlite.dead_letters import SQLiteDeadLetters
from scrapy_t8.stores.sqlite.file import (
    OPEN_HERE,
    check_file,
    check_version,
    connect,
    damaged,
    make_sure_it_is_there,
    transaction,
)
from scrapy_t8.stores.sqlite.resume_points import SQLiteResumePoints
from scrapy_t8.stores.sqlite.tables import dump_job, load_job

PATIENCE = 0.5
"""Seconds that the lock of the state is waited for: a reader holds it for an instant."""
ROWS = 1500
"""Changed rows after which the log is moved into the file."""


class SharedStore:
    """The state in the directory *path* (made if it is missing), open to several at once.

    :param power: commits survive a power cut, not only the death of the process.
    """

    def __init__(self, path: Path, *, power: bool = False) -> None:
        self.path = path / "state.db"
        self._power = power
        self._lock = FileLock(path / "lock")
        self._writer = FileLock(path / "writer")
        self._holder = path / "holder"
        self._threads = RLock()
        self._db: sqlite3.Connection
        self.box: SQLiteDeadLetters
        self.points: SQLiteResumePoints
        self._pid = 0
        self._real = ""
        self._inode = 0
        self._moved = 0
        self._nested = False
        self.is_open = False

    def open(self) -> None:
        """Share the state and make it readable.

        :raises JobLocked: if a crawl owns it.
        :raises StoreDamaged: if it is damaged. Nothing was changed.
        :raises StoreVersion: if another version wrote it.
        """
        directory = self.path.parent
        with self._guard("open"):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._lock.share(PATIENCE):
                raise JobLocked(self._in_use())
        try:
            with self._guard("open"), self._writer.owned():
                make_sure_it_is_there(self.path)
                self._connect()
                self._pid, self._inode = os.getpid(), self.path.stat().st_ino
                self._real = os.path.realpath(self.path)
                OPEN_HERE[self._real] += 1
        except (StoreDamaged, StoreVersion) as error:
            self._lock.release()
            raise type(error)(_of_a_service(str(error))) from None
        except BaseException:
            self._lock.release()
            raise
        self._holder.touch(mode=0o600)
        self._holder.write_text(str(os.getpid()))
        self.is_open = True

    def close(self) -> None:
        """Give the state up. What was committed is there."""
        with self._threads:
            if not self.is_open:
                return
            self.is_open = False
            if not self.is_mine:
                return  # after a fork: locks and connection are the parent's
            # The last one to close moves the log, which is a kind of writing.
            with self._writer.owned():
                self._db.close()
                OPEN_HERE[self._real] -= 1
            self._writer.release()
            self._lock.release()

    def _in_use(self) -> str:
        who = self._holder.read_text() if self._holder.exists() else "unknown"
        return (
            f"the state in {self.path.parent.parent} is in use by a crawl, or by a tool that owns it (pid {who}): "
            "wait for it to end, stop it, or use another T8_STATE_DIR"
        )

    def _connect(self) -> None:
        check_file(self.path)
        try:
            self._db = connect(self.path, power=self._power)
            check_version(self._db, self.path)
            self.job()
            self.box = SQLiteDeadLetters(self._db, self._using, self._change)
            self.points = SQLiteResumePoints(self._db, self._using, self._change)
        except (sqlite3.DatabaseError, ValueError, TypeError, KeyError) as error:
            if isinstance(error, sqlite3.OperationalError) and "no such" not in str(error):
                raise
            raise damaged(self.path, str(error)) from None

    @property
    def is_mine(self) -> bool:
        """Whether this process has opened it, and not its parent."""
        return self._pid == os.getpid()

    # -- using it ------------------------------------------------------------------------------------------------

    def job(self) -> JobRecord | None:
        """The job that lives here, or None before the first."""
        row = self._db.execute(sql.GET_JOB).fetchone()
        return None if row is None else load_job(row[0])

    def kept(self, prefix: str) -> dict[str, bytes]:
        """What is kept under names that begin with *prefix*."""
        with self.reading() as db:
            return dict(db.execute(sql.GET_KEPT, {"prefix": prefix}))

    def keep(self, values: dict[str, bytes]) -> None:
        """Keep *values* by name; inside of :meth:`writing`."""
        self._db.executemany(sql.PUT_KEPT, values.items())

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for one thread at a time.

        :raises StoreError: if something goes wrong with it, as with :meth:`writing`.
        """
        with self._using("read"):
            yield self._db

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all that is done in it happens, or nothing."""
        with self._guard("write"), self._change() as db:
            yield db

    @contextmanager
    def writing_job(self) -> Iterator[tuple[sqlite3.Connection, JobRecord]]:
        """The same with the books of the job, as other processes have left them; what is changed there is kept."""
        with self.writing() as db:
            job = self.job()
            if job is None:
                raise StoreError(f"there is no job in {self.path.parent}: it was taken away while it was in use")
            before = dump_job(job)
            yield db, job
            if (after := dump_job(job)) != before:
                db.execute(sql.PUT_JOB, (after,))

    @contextmanager
    def alone(self) -> Iterator[JobRecord]:
        """The books of the job, for a change of the dead-letter box: no other process writes meanwhile."""
        with self._using("write"), self._writer.owned():
            job = self.job()
            if job is None:
                raise StoreError(f"there is no job in {self.path.parent}: it was taken away while it was in use")
            self._nested = True
            try:
                yield job
            finally:
                self._nested = False

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with self._threads:
            self._check()
            if self._nested:
                with transaction(self._db) as db:
                    yield db
                return
            with self._writer.owned():
                with transaction(self._db) as db:
                    yield db
                self._move_log()

    def _move_log(self) -> None:
        if self._db.total_changes - self._moved >= ROWS:
            self._moved = self._db.total_changes
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _check(self) -> None:
        if not self.is_open:
            raise StoreError(f"the state in {self.path.parent.parent} is closed: open the service before it is used")
        if not self.is_mine:
            raise StoreError("the state was opened by another process: after a fork, make a service of your own")
        # SQLite would go on happily in a file that has no name any more.
        if not self.path.exists() or self.path.stat().st_ino != self._inode:
            raise StoreError(
                f"{self.path} was taken away or replaced while it was in use: put it back, or start again with what "
                "is there"
            )

    @contextmanager
    def _using(self, what: str) -> Iterator[None]:
        # Reading, too, is for one thread at a time: a statement that is not through keeps an old view of the file.
        with self._guard(what), self._threads:
            self._check()
            yield

    @contextmanager
    def _guard(self, what: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            if isinstance(error, sqlite3.DatabaseError) and "malformed" in str(error):
                raise damaged(self.path, str(error)) from error
            told = f"cannot {what} the state in {self.path.parent}: {error}"
            raise StoreError(f"{told}. {_of_a_service(remedy(error))}") from error


def _of_a_service(message: str) -> str:
    """What is said to people who crawl, for others."""
    return message.replace("-s T8_RESUME", "T8_RESUME").replace("JOBDIR", "T8_STATE_DIR")
