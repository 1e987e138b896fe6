"""Resume points in SQLite: the table ``point``, and their earlier states in ``point_history``."""

from __future__ import annotations

from scrapy_t8.model.batch import PointRecord

from .tables import SQLiteTables, sql


class SQLiteResumePoints(SQLiteTables):
    """The resume points of a store, which outlive their job. Each change is one transaction."""

    def all(self) -> list[PointRecord]:
        """Return the current state of every point."""
        return [PointRecord(*row) for row in self.rows(sql.POINTS)]

    def history(self, task_type: str) -> list[PointRecord]:
        """Return the earlier states of the points of one task type, the newest first."""
        return [PointRecord(*row) for row in self.rows(sql.POINT_HISTORY, (task_type,))]

    def put(self, point: PointRecord) -> None:
        """Add or replace a point."""
        with self._guard("write"), self._transaction():
            self.write([point])

    def drop(self, task_type: str, name: str) -> bool:
        """Delete a point. Return whether it existed."""
        with self._guard("write"), self._transaction() as db:
            return db.execute(sql.DROP_POINT, (task_type, name)).rowcount > 0

    def prune(self, oldest: float, limit: int) -> int:
        """Delete history from before *oldest* and beyond *limit* records. Return the number. Points always stay."""
        with self._guard("write"), self._transaction() as db:
            expired = db.execute(sql.PRUNE_OLD_HISTORY, (oldest,)).rowcount
            return expired + db.execute(sql.PRUNE_HISTORY, (limit,)).rowcount

    def write(self, points: list[PointRecord]) -> None:
        """Write *points* as a part of a commit, whose transaction is the store's."""
        self._db.executemany(sql.PUT_POINT, [(p.task_type, p.name, p.updated, p.record, p.track) for p in points])
        historic = [(p.task_type, p.name, p.updated, p.record) for p in points if p.historic]
        self._db.executemany(sql.ADD_HISTORY, historic)
