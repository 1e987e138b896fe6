"""The state file of the service, which several processes and their threads use together.

A crawl holds the lock of its job alone; services share it, so that a crawl and services exclude each other. One process
at a time writes, checkpoints, opens or closes, and each with one connection: releases of SQLite up to 3.51.2 can lose a
reset of the log when two do so at the same instant.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import RLock

from scrapy_t8.errors import StoreDamaged, StoreError, StoreVersion
from scrapy_t8.model.job import JobRecord
from scrapy_t8.stores.locks import FileLock, is_inode
from scrapy_t8.stores.sqlite.file import OPEN_HERE, StateFile, transaction
from scrapy_t8.stores.sqlite.tables import dump_job, sql
from scrapy_t8.stores.statements import load_statements

ask = load_statements(Path(__file__).parent)

PATIENCE = 0.5
"""Seconds to wait for the lock of the state: a reader that checks for an owner holds the lock for an instant."""
ROWS = 1500
"""Changed rows after which the log is moved into the file."""


class SharedStore(StateFile):
    """The state in the directory *path* (created if it is missing), open to several processes at once."""

    IN_USE = (
        "the state in {where} is in use by a crawl, or by a tool that owns it (pid {pid}): "
        "wait for it to end, stop it, or use another T8_STATE_DIR"
    )

    def __init__(self, path: Path, *, power: bool = False) -> None:
        super().__init__(path, power=power)
        self._writer = FileLock(path / "writer")
        self._threads = RLock()
        self._pid = 0
        self._real = ""
        self._moved = 0
        self._nested = False
        self.is_open = False

    def open(self) -> None:
        """Lock the state, shared with other services, and open it.

        :raises JobLocked: if a crawl owns the state.
        :raises StoreDamaged: if the state is damaged. Nothing was changed.
        :raises StoreVersion: if another version wrote the state.
        """
        try:
            with self._opening(lambda: self._lock.share(PATIENCE)), self._writer.owned():
                self._connect()
                self._pid, self._real = os.getpid(), os.path.realpath(self.path)
                OPEN_HERE[self._real] += 1
        except (StoreDamaged, StoreVersion) as error:
            raise type(error)(_for_services(str(error))) from None
        self.is_open = True

    def close(self) -> None:
        """Close the state and free its lock. Everything committed stays."""
        with self._threads:
            if not self.is_open:
                return
            self.is_open = False
            if not self.is_mine:
                return  # after a fork: locks and connection are those of the parent
            # The last process to close moves the log, which is a kind of writing.
            with self._writer.owned():
                self._db.close()
                OPEN_HERE[self._real] -= 1
            self._writer.release()
            self._lock.release()

    @property
    def is_mine(self) -> bool:
        """Whether this process has opened the store, and not its parent."""
        return self._pid == os.getpid()

    def begin(self, new: JobRecord, now: float) -> tuple[JobRecord, int]:
        """Begin a run. Return the job of this state, which is *new* if there was none, and the number of the run."""
        with self.writing() as db:
            job = self.job()
            if job is None:
                # There may be tasks without a job: the readable part of a damaged file.
                job = new
                job.next_seq, job.ledger.admitted = db.execute(ask.LEFT).fetchone()
                db.execute(sql.PUT_JOB, (dump_job(job),))
            run = db.execute(sql.OPEN_RUN, (now, now)).lastrowid or 0
        return job, run

    def end(self, run: int, now: float) -> None:
        """End a run, which has not died."""
        with self.writing() as db:
            db.execute(sql.END_RUN, (now, "closed", run))

    # -- using ---------------------------------------------------------------------------------------------------

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Make the changes of the block in one transaction."""
        with self._guard("write"), self._change() as db:
            yield db

    @contextmanager
    def writing_job(self) -> Iterator[tuple[sqlite3.Connection, JobRecord]]:
        """Make the changes of the block, and those of the job's record, in one transaction."""
        with self.writing() as db, self.changing_job() as job:
            yield db, job

    @contextmanager
    def changing_job(self) -> Iterator[JobRecord]:
        """Store the job's record at the end of the block, which is a part of a transaction, if it has changed."""
        job = self._job()
        before = dump_job(job)
        yield job
        if (after := dump_job(job)) != before:
            self._db.execute(sql.PUT_JOB, (after,))

    @contextmanager
    def alone(self) -> Iterator[JobRecord]:
        """Give the job's record for changes of the dead-letter box. No other process writes during the block."""
        with self._reading("write"), self._writer.owned():
            job = self._job()
            self._nested = True
            try:
                yield job
            finally:
                self._nested = False

    def _job(self) -> JobRecord:
        job = self.job()
        if job is None:
            raise StoreError(
                f"there is no job in {self._directory}: another program has taken it away while it was in use. Put it "
                "back, or start again with what is there"
            )
        return job

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with self._threads:
            self._check()
            with nullcontext() if self._nested else self._writer.owned():
                with transaction(self._db) as db:
                    yield db
                if not self._nested and db.total_changes - self._moved >= ROWS:
                    self._moved = db.total_changes
                    db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _check(self) -> None:
        if not self.is_open:
            raise StoreError(f"the state in {self._directory.parent} is closed: open the service before it is used")
        if not self.is_mine:
            raise StoreError("the state was opened by another process: after a fork, create a new service")
        # SQLite would go on writing to a deleted file.
        if not is_inode(self.path, self._inode):
            raise StoreError(
                f"{self.path} was taken away or replaced while it was in use: put it back, or start again with what "
                "is there"
            )

    @contextmanager
    def _reading(self, what: str) -> Iterator[None]:
        # Reading, too, is for one thread at a time: an unfinished statement keeps an old view of the file.
        with self._guard(what), self._threads:
            self._check()
            yield

    def _advise(self, message: str, advice: str) -> str:
        return message + _for_services(advice)


def _for_services(message: str) -> str:
    """Return a *message* for users of crawls as one for users of services."""
    return message.replace("-s T8_RESUME", "T8_RESUME").replace("JOBDIR", "T8_STATE_DIR")
