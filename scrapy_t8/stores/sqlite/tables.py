"""What all parts of a store in SQLite are made with."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager

from scrapy_t8.model.job import JobRecord, Ledger


class SQLiteTables:
    """Some tables of the database of a store.

    :param db: the store's connection.
    :param guard: a context that turns errors of the database into the store's.
    :param transaction: a context that commits, or takes everything back.
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
    record = json.loads(text)
    return JobRecord(**{**record, "ledger": Ledger(**record["ledger"])})


def dump_job(job: JobRecord) -> str:
    # By hand: dataclasses.asdict copies deeply, and this is done with every commit.
    ledger = {name: getattr(job.ledger, name) for name in Ledger.__slots__}
    return json.dumps({**{name: getattr(job, name) for name in JobRecord.__slots__}, "ledger": ledger})
