"""Keeps a damaged state file aside, and copies its readable rows into a new one."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from scrapy_t8.model.entry import SEQ_BITS
from scrapy_t8.model.job import JobRecord
from scrapy_t8.utils.log.loggers import get_logger

from .tables import LARGEST_RECORD, load_job

logger = get_logger(__name__)

LEFT_OUT = "lease"
"""The table that is not copied: the holders of its leases are dead."""
LOWEST, HIGHEST = -(2**63), 2**63 - 1
PATIENCE = 2_000
"""Reads that may fail in one table before the rest of the table is given up; each row that is read adds one."""


def set_aside(path: Path) -> Path:
    """Rename a damaged file and its companions. Return its new path."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    for suffix in ("", "-wal", "-shm"):
        old = path.with_name(path.name + suffix)
        if old.exists():
            old.rename(aside.with_name(aside.name + suffix))
    return aside


def salvage(damaged: Path, into: sqlite3.Connection, why: str) -> dict[str, int]:
    """Copy every readable row of *damaged* into the new database *into*. Return the number of rows by table."""
    kept: dict[str, int] = {}
    old = sqlite3.connect(f"file:{damaged}?mode=ro", uri=True)
    with suppress(sqlite3.Error):
        old.execute("PRAGMA trusted_schema = OFF")
        old.execute("PRAGMA writable_schema = ON")  # or SQLite refuses to read a file that was cut short
    into.execute("BEGIN")
    tables = into.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name <> ?", (LEFT_OUT,)).fetchall()
    for (table,) in tables:
        if not _is_table(old, table):
            continue
        columns, key = _columns(into, table)
        insert = f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
        kept[table] = 0
        query = f"SELECT {', '.join(columns)} FROM {table}"
        for row in _readable(old, query) if key is None else _between(old, query, key, *_ends(old, table, key)):
            with suppress(sqlite3.Error):
                kept[table] += into.execute(insert, row).rowcount
    _drop_unreadable(into)
    # The counts of the queues may be wrong: the entries themselves are the truth.
    into.execute(f"UPDATE queue SET stored = (SELECT count(*) FROM entry WHERE entry.id >> {SEQ_BITS} = queue.id)")
    into.execute("COMMIT")
    old.close()
    counts = ", ".join(f"{count} {table}" for table, count in kept.items() if count) or "nothing"
    logger.warning("%s It is kept as %s. Read from it: %s", why.split(". ")[0] + ".", damaged, counts)
    return kept


def _drop_unreadable(db: sqlite3.Connection) -> None:
    """Delete the records that no crawl has written: the job, feeds and hosts begin anew without them."""
    for table, key, load in (("job", "one", load_job), ("feed", "name", json.loads), ("host", "slot", json.loads)):
        for row, record in db.execute(f"SELECT {key}, record FROM {table}").fetchall():
            try:
                is_right = len(record) <= LARGEST_RECORD and isinstance(load(record), (dict, JobRecord))
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                is_right = False
            if not is_right:
                db.execute(f"DELETE FROM {table} WHERE {key} = ?", (row,))


def _is_table(db: sqlite3.Connection, name: str) -> bool:
    """Whether *name* is a real table. A view or a virtual table could have endless rows."""
    query = "SELECT type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%' FROM sqlite_master WHERE name = ?"
    try:
        row = db.execute(query, (name,)).fetchone()
    except sqlite3.Error:
        return False
    return bool(row and row[0])


def _columns(db: sqlite3.Connection, table: str) -> tuple[list[str], str | None]:
    """Return the columns of a table, and the one that is its integer key, if there is one."""
    columns = db.execute(f"PRAGMA table_info({table})").fetchall()
    keys = [(name, kind) for _, name, kind, _, _, place in columns if place]
    return [column[1] for column in columns], keys[0][0] if [kind for _, kind in keys] == ["INTEGER"] else None


def _ends(db: sqlite3.Connection, table: str, key: str) -> tuple[int, int]:
    low, high = (next(_readable(db, f"SELECT {end}({key}) FROM {table}"), (None,))[0] for end in ("min", "max"))
    return low if isinstance(low, int) else LOWEST, high if isinstance(high, int) else HIGHEST


def _between(db: sqlite3.Connection, query: str, key: str, low: int, high: int) -> Iterator[tuple[object, ...]]:
    """Yield the rows of a range of *key*; where reading fails, those of its halves, down to single rows."""
    stack, patience = [(low, high)], PATIENCE
    while stack and patience:
        low, high = stack.pop()
        try:
            rows = db.execute(f"{query} WHERE {key} BETWEEN ? AND ? ORDER BY {key}", (low, high)).fetchall()
            patience += len(rows)
            yield from rows
        except sqlite3.Error:
            patience -= 1
            if low < high:
                middle = (low + high) // 2
                stack += [(middle + 1, high), (low, middle)]


def _readable(db: sqlite3.Connection, query: str) -> Iterator[tuple[object, ...]]:
    with suppress(sqlite3.Error):
        yield from db.execute(query)
