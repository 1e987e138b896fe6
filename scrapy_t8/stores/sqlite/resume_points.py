"""Resume points in SQLite: the table ``point``, and their earlier states in ``point_history``."""

from __future__ import annotations

from scrapy_t8.model.batch import PointRecord

from . import queries as sql
from .tables import SQLiteTables


class SQLiteResumePoints(SQLiteTables):
    """A :class:`~scrapy_t8.stores.base.ResumePointStore` in the database of a store."""

    def all(self) -> list[PointRecord]:
        with self._guard("read"):
            return [PointRecord(*row) for row in self._db.execute(sql.POINTS)]

    def history(self, task_type: str) -> list[PointRecord]:
        with self._guard("read"):
            return [PointRecord(*row) for row in self._db.execute(sql.POINT_HISTORY, (task_type,))]

    def put(self, point: PointRecord) -> None:
        with self._guard("write"), self._transaction():
            self.write([point])

    def drop(self, task_type: str, name: str) -> bool:
        with self._guard("write"), self._transaction() as db:
            return db.execute(sql.DROP_POINT, (task_type, name)).rowcount > 0

    def prune(self, oldest: float, limit: int) -> int:
        with self._guard("write"), self._transaction() as db:
            expired = db.execute(sql.PRUNE_OLD_HISTORY, (oldest,)).rowcount
            return expired + db.execute(sql.PRUNE_HISTORY, (limit,)).rowcount

    def write(self, points: list[PointRecord]) -> None:
        """Write *points* as a part of a commit, whose transaction is the store's."""
        self._db.executemany(sql.PUT_POINT, [(p.task_type, p.name, p.updated, p.record, p.track) for p in points])
        historic = [(p.task_type, p.name, p.updated, p.record) for p in points if p.historic]
        self._db.executemany(sql.ADD_HISTORY, historic)
