"""What all parts of a store in SQLite are made with."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager


class SQLitePart:
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
