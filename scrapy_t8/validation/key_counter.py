"""Counts the keys of items on disk, so that memory does not grow with their number."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

TABLES = """
    PRAGMA journal_mode = OFF;
    PRAGMA cache_size = -8000;
    CREATE TABLE there (key BLOB PRIMARY KEY, times INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE expected (key BLOB PRIMARY KEY) WITHOUT ROWID;
"""
ADD = "INSERT INTO there VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET times = times + 1"
EXPECT = "INSERT OR IGNORE INTO expected VALUES (?)"
UNIQUE = "SELECT count(*) FROM there"
WANTED = "SELECT count(*) FROM expected"
COLLECTED = "SELECT count(*) FROM expected JOIN there USING (key)"
REPEATED = "SELECT count(*) FROM there WHERE times > 1"
DUPLICATES = "SELECT key, times FROM there WHERE times > 1 ORDER BY times DESC, key LIMIT ?"
MISSING = "SELECT key FROM expected WHERE key NOT IN (SELECT key FROM there) ORDER BY key LIMIT ?"


class KeyCounter:
    """Counts existing and expected keys. For one thread at a time.

    SQLite puts what does not fit into its cache into a temporary file, which is deleted at the end.
    """

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

    @property
    def unique(self) -> int:
        """The number of different existing keys."""
        return self._count(UNIQUE)

    @property
    def expected(self) -> int:
        """The number of different expected keys."""
        return self._count(WANTED)

    @property
    def collected(self) -> int:
        """The number of expected keys that exist."""
        return self._count(COLLECTED)

    @property
    def repeated(self) -> int:
        """The number of keys that exist more than once."""
        return self._count(REPEATED)

    def duplicates(self, most: int) -> dict[str, int]:
        """Return the *most* most frequent keys that exist more than once, with their counts."""
        return {_text(key): times for key, times in self._db.execute(DUPLICATES, (most,))}

    def missing(self, most: int) -> list[str]:
        """Return the first *most* expected keys that do not exist."""
        return [_text(key) for (key,) in self._db.execute(MISSING, (most,))]

    def close(self) -> None:
        self._db.close()

    def _count(self, query: str) -> int:
        return int(self._db.execute(query).fetchone()[0])


def _bytes(key: str) -> bytes:
    # A key may contain half of a character, as from a broken page.
    return key.encode("utf-8", "surrogatepass")


def _text(key: bytes) -> str:
    return key.decode("utf-8", "surrogatepass")
