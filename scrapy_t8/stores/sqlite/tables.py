"""What all parts of a store have in common: its statements, how they read, and the record of the job."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeAlias

from scrapy_t8.model.job import JobRecord, Ledger
from scrapy_t8.stores.statements import load_statements

sql = load_statements(Path(__file__).parent)

LARGEST_RECORD = 1 << 20
"""Bytes of the largest record of a job, a feed or a host."""

Guard: TypeAlias = Callable[[str], AbstractContextManager[None]]
"""Returns a context that raises errors of the database as those of a store, given a verb for the message."""
Transaction: TypeAlias = Callable[[], AbstractContextManager[sqlite3.Connection]]


class SQLiteReader:
    """Reads from the database of a store."""

    _db: sqlite3.Connection
    _reading: Guard

    def rows(self, statement: str, values: Any = ()) -> list[Any]:
        """Return the rows that *statement* finds."""
        with self._reading("read"):
            return self._db.execute(statement, values).fetchall()

    def value(self, statement: str, values: Any = ()) -> Any:
        """Return the first value of the first row that *statement* finds, or None if it finds no row."""
        return next((row[0] for row in self.rows(statement, values)), None)

    def count_untried(self) -> int:
        """Count the entries that were never tried, one by one."""
        return int(self.value(sql.COUNT_UNTRIED))

    def waiting_by_slot(self, limit: int) -> list[tuple[str, int]]:
        """Return the download slots of which most entries wait, and the number of these; at most *limit*."""
        return self.rows(sql.WAITING_BY_SLOT, (limit,))

    def hosts(self) -> dict[str, dict[str, Any]]:
        """Return the states of the hosts that are or were down or paused, by download slot."""
        return {slot: json.loads(record) for slot, record in self.rows(sql.GET_HOSTS)}

    def feeds(self) -> dict[str, dict[str, Any]]:
        """Return what each feed has stored about itself with the last commit."""
        return {name: json.loads(record) for name, record in self._db.execute(sql.GET_FEEDS)}


class SQLiteTables(SQLiteReader):
    """Some tables of the database of a store, with its *guard* and its *transaction*."""

    def __init__(self, db: sqlite3.Connection, guard: Guard, transaction: Transaction) -> None:
        self._db = db
        self._guard = self._reading = guard
        self._transaction = transaction


def leave_untried(db: sqlite3.Connection, cause: str) -> None:
    """Delete the entries that were never tried, and count them as discarded for *cause*; without a cause they stay."""
    if not cause:
        return
    left = db.execute(sql.LEAVE_UNTRIED).rowcount
    db.execute(sql.RECOUNT_QUEUES)
    db.execute(sql.ADD_TALLY, ("cause", cause, left))


def load_job(text: str) -> JobRecord:
    """Return the job's record of :func:`dump_job`."""
    record = json.loads(text)
    return JobRecord(**{**record, "ledger": Ledger(**record["ledger"])})


def dump_job(job: JobRecord) -> str:
    """Return the record of *job* as JSON."""
    # Not with dataclasses.asdict, which copies deeply: every commit calls this.
    ledger = {name: getattr(job.ledger, name) for name in Ledger.__slots__}
    return json.dumps({**{name: getattr(job, name) for name in JobRecord.__slots__}, "ledger": ledger})
