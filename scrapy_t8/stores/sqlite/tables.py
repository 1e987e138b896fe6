"""The common base of the parts of a store, each of which has tables of its own."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager

from scrapy_t8.model.job import JobRecord, Ledger


class SQLiteTables:
    """Some tables of the database of a store.

    :param db: the store's connection.
    :param guard: returns a context that raises errors of the database as those of a store.
    :param transaction: returns a context that commits, or rolls back.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        guard: Callable[[str], AbstractContextManager[None]],
        transaction: Callable[[], AbstractContextManager[sqlite3.Connection]],
    ) -> None:
        self._db = db
        self._guard = guard
        self._transaction = transaction


def load_job(text: str) -> JobRecord:
    """Return the job's record of :func:`dump_job`."""
    record = json.loads(text)
    return JobRecord(**{**record, "ledger": Ledger(**record["ledger"])})


def dump_job(job: JobRecord) -> str:
    """Return the record of *job* as JSON."""
    # Not with dataclasses.asdict, which copies deeply: every commit calls this.
    ledger = {name: getattr(job.ledger, name) for name in Ledger.__slots__}
    return json.dumps({**{name: getattr(job, name) for name in JobRecord.__slots__}, "ledger": ledger})
