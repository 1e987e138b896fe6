"""The store of a crawl: one SQLite file, one owner."""

from __future__ import annotations

from .store import SQLiteStore

__all__ = ["SQLiteStore"]
