"""What was collected, in SQLite. Writing a car twice changes nothing, so a page may safely be collected again."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

LIST, DETAIL = "LIST_COLLECTION", "DETAIL_COLLECTION"

TABLES = """
    CREATE TABLE IF NOT EXISTS link (number INTEGER PRIMARY KEY AUTOINCREMENT, slug TEXT NOT NULL UNIQUE);
    CREATE TABLE IF NOT EXISTS car (slug TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;
"""
TABLE = {LIST: "link", DETAIL: "car"}


class Cars:
    """Links in the order in which they were found, and cars. Also the `db_manager` of the validation."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.executescript(TABLES)

    def add_links(self, slugs: Iterable[str]) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("INSERT OR IGNORE INTO link (slug) VALUES (?)", [(slug,) for slug in slugs])
        self._db.execute("COMMIT")

    def links_after(self, number: int) -> list[tuple[int, str]]:
        """Return number and slug of the links after that number. New links come at the end, so no number changes."""
        return self._db.execute("SELECT number, slug FROM link WHERE number > ? ORDER BY number", (number,)).fetchall()

    def number_of(self, slug: str) -> int:
        """Return the number of a link, or 0 if there is no such link."""
        row = self._db.execute("SELECT number FROM link WHERE slug = ?", (slug,)).fetchone()
        return row[0] if row else 0

    def put(self, slug: str, record: dict[str, Any]) -> None:
        text = json.dumps(record, ensure_ascii=False)
        self._db.execute("INSERT OR REPLACE INTO car (slug, record) VALUES (?, ?)", (slug, text))

    def get(self, slug: str) -> dict[str, Any] | None:
        row = self._db.execute("SELECT record FROM car WHERE slug = ?", (slug,)).fetchone()
        return json.loads(row[0]) if row else None

    # For validation

    def count_items(self, task_type: str) -> int:
        count: int = self._db.execute(f"SELECT count(*) FROM {TABLE[task_type]}").fetchone()[0]
        return count

    def has_item(self, task_type: str, key: str) -> bool:
        return self._db.execute(f"SELECT 1 FROM {TABLE[task_type]} WHERE slug = ?", (key,)).fetchone() is not None

    def iter_keys(self, task_type: str) -> Iterator[str]:
        yield from (row[0] for row in self._db.execute(f"SELECT slug FROM {TABLE[task_type]}"))
