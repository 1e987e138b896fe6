"""Keeps a damaged state file aside, and copies its readable rows into a new one."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from scrapy_t8.model.entry import SEQ_BITS

logger = logging.getLogger(__name__)

COLUMNS = {
    "job": "one, record",
    "run": "id, started, ended, reason, last_commit",
    "queue": "id, key, slot, stored",
    "entry": "id, payload, crashes, story",
    "waiting": "id, due, slot, payload, story",
    "task_name": "task_id, entry",
    "host": "slot, record",
    "seen": "fingerprint",
    "dead": "id, entry, job, spider, kind, error, url, host, callback, status, fingerprint, code, task_type, target, "
    "buried_at",
    "dead_body": "id, payload, story, detail",
    "spawned": "parent, fingerprint, child, attempt",
    "feed": "name, record",
    "point": "task_type, name, updated, record, track",
    "point_history": "id, task_type, name, updated, record",
    "kept": "name, data",
    "expected": "key, text, sources, open, collected, cause, request, url, payload, healed",
    "announced": "source, total",
    "item": "key, job, run, text, digest",
    "superseded": "position",
    "loss": "kind, pipeline, reason, count, key, url",
    "tally": "what, name, count",
    "timeline": "began, pages, items, retries",
    "past_job": "number, id, spider, begun, ended, items, good",
}
WITH_ID = ("run", "queue", "entry", "waiting", "dead", "dead_body", "point_history")
WITH_KEY = {"seen": "fingerprint", "expected": "key", "item": "key", "timeline": "began", "past_job": "number"}
KEYS = WITH_KEY | dict.fromkeys(WITH_ID, "id")
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
    kept = dict.fromkeys(COLUMNS, 0)
    old = sqlite3.connect(f"file:{damaged}?mode=ro", uri=True)
    with suppress(sqlite3.Error):
        old.execute("PRAGMA writable_schema = ON")  # or SQLite refuses to read a file that was cut short
    into.execute("BEGIN")
    for table, columns in COLUMNS.items():
        marks = ", ".join("?" * len(columns.split(",")))
        insert = f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({marks})"
        for row in _rows(old, table, columns):
            try:
                kept[table] += into.execute(insert, row).rowcount
            except sqlite3.Error:
                continue
    # The counts of the queues may be wrong: the entries themselves are the truth.
    into.execute(f"UPDATE queue SET stored = (SELECT count(*) FROM entry WHERE entry.id >> {SEQ_BITS} = queue.id)")
    into.execute("COMMIT")
    old.close()
    logger.warning("%s It is kept as %s. Read from it: %s", why.split(". ")[0] + ".", damaged, _counts(kept))
    return kept


def _rows(db: sqlite3.Connection, table: str, columns: str) -> Iterator[tuple[object, ...]]:
    key = KEYS.get(table)
    if key is None:
        yield from _readable(db, f"SELECT {columns} FROM {table}", ())
    else:
        yield from _between(
            db, f"SELECT {columns} FROM {table} WHERE {key} BETWEEN ? AND ? ORDER BY {key}", *_ends(db, table, key)
        )


def _ends(db: sqlite3.Connection, table: str, key: str) -> tuple[int, int]:
    ends = []
    for end, default in (("min", LOWEST), ("max", HIGHEST)):
        found = list(_readable(db, f"SELECT {end}({key}) FROM {table}", ()))
        ends.append(found[0][0] if found and isinstance(found[0][0], int) else default)
    return ends[0], ends[1]


def _between(db: sqlite3.Connection, query: str, low: int, high: int) -> Iterator[tuple[object, ...]]:
    """Yield the rows of a range; where reading fails, those of its halves, down to single rows."""
    stack, patience = [(low, high)], PATIENCE
    while stack and patience:
        low, high = stack.pop()
        try:
            rows = db.execute(query, (low, high)).fetchall()
            patience += len(rows)
            yield from rows
        except sqlite3.Error:
            patience -= 1
            if low < high:
                middle = (low + high) // 2
                stack += [(middle + 1, high), (low, middle)]


def _readable(db: sqlite3.Connection, query: str, arguments: tuple[object, ...]) -> Iterator[tuple[object, ...]]:
    try:
        yield from db.execute(query, arguments)
    except sqlite3.Error:
        return


def _counts(kept: dict[str, int]) -> str:
    return ", ".join(f"{count} {table}" for table, count in kept.items() if count) or "nothing"
