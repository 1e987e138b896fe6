"""Counts the keys of items on disk, so that memory does not grow with their number."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

TABLES = """
    PRAGMA journal_mode = OFF;
    PRAGMA cache_size = -8000;
    CREATE TABLE there (key BLOB PRIMARY KEY, times INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE expected (key BLOB PRIMARY KEY) WITHOUT ROWID;
"""
ADD = "INSERT INTO there VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET times = times + 1"
EXPECT = "INSERT OR IGNORE INTO expected VALUES (?)"
COUNTS = """
    SELECT (SELECT count(*) FROM there), (SELECT count(*) FROM there WHERE times > 1), (SELECT count(*) FROM expected),
        (SELECT count(*) FROM expected JOIN there USING (key))
"""
DUPLICATES = "SELECT key, times FROM there WHERE times > 1 ORDER BY times DESC, key LIMIT ?"
MISSING = "SELECT key FROM expected WHERE key NOT IN (SELECT key FROM there) ORDER BY key LIMIT ?"


class KeyCounts(NamedTuple):
    """How many different keys there are."""

    unique: int
    repeated: int
    """Existing keys that exist more than once."""
    expected: int
    collected: int
    """Expected keys that exist."""


class KeyCounter:
    """Counts keys, for one thread at a time. What SQLite cannot cache goes into a temporary file."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.executescript(TABLES)
        self._db.execute("BEGIN")  # never committed: nothing is kept

    def add(self, keys: Iterable[str]) -> None:
        """Add existing keys, each once more."""
        self._db.executemany(ADD, ((_bytes(key),) for key in keys))

    def expect(self, keys: Iterable[str]) -> None:
        """Add expected keys."""
        self._db.executemany(EXPECT, ((_bytes(key),) for key in keys))

    def counts(self) -> KeyCounts:
        return KeyCounts(*self._db.execute(COUNTS).fetchone())

    def duplicates(self, most: int) -> dict[str, int]:
        """Return the *most* most frequent keys that exist more than once, with their counts."""
        return {_text(key): times for key, times in self._db.execute(DUPLICATES, (most,))}

    def missing(self, most: int) -> list[str]:
        """Return the first *most* expected keys that do not exist."""
        return [_text(key) for (key,) in self._db.execute(MISSING, (most,))]

    def close(self) -> None:
        self._db.close()


def _bytes(key: str) -> bytes:
    # A key may contain half of a character, as from a broken page.
    return key.encode("utf-8", "surrogatepass")


def _text(key: bytes) -> str:
    return key.decode("utf-8", "surrogatepass")
