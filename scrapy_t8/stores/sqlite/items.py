"""What a job writes down of its items, in SQLite: those it has had, those it expects, those it has lost."""

from __future__ import annotations

from collections.abc import Iterator

from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.model.items import ExpectationChange, LastExport
from scrapy_t8.model.job import JobRecord, PastJob

from . import queries as sql
from .tables import SQLiteTables

STRETCH = 10
"""Seconds that the timeline tells apart."""


class SQLiteItems(SQLiteTables):
    """A :class:`~scrapy_t8.stores.base.ItemStore` in the database of a store."""

    def item(self, key: int) -> LastExport | None:
        with self._guard("read"):
            row = self._db.execute(sql.ITEM, (key,)).fetchone()
        return None if row is None else LastExport(*row)

    def some_items(self, limit: int) -> dict[int, LastExport]:
        with self._guard("read"):
            return {key: LastExport(*row) for key, *row in self._db.execute(sql.SOME_ITEMS, (limit,))}

    def superseded(self) -> Iterator[int]:
        with self._guard("read"):
            yield from (position for (position,) in self._db.execute(sql.SUPERSEDED))

    def past_jobs(self, spider: str) -> list[PastJob]:
        with self._guard("read"):
            rows = self._db.execute(sql.PAST_JOBS, (spider,)).fetchall()
        return [PastJob(*row) for row in rows]

    def to_heal(self) -> dict[str, int]:
        with self._guard("read"):
            return {text: key for key, text in self._db.execute(sql.TO_HEAL)}

    def healed(self, keys: list[int], healed: int) -> None:
        with self._guard("write"), self._transaction() as db:
            db.executemany(sql.HEAL, [(healed, key) for key in keys])

    def expect_last(self, spider: str, source: str) -> int:
        with self._guard("write"), self._transaction() as db:
            good = db.execute(sql.LAST_GOOD, (spider,)).fetchone()[0]
            values = {"source": source, "good": good, "spider": spider}
            return 0 if good is None else db.execute(sql.EXPECT_LAST, values).rowcount

    def add_past_job(self, job: PastJob) -> None:
        with self._guard("write"), self._transaction() as db:
            db.execute(
                sql.ADD_PAST_JOB, (job.id, job.number, job.spider, job.begun, job.ended, job.items, int(job.good))
            )

    # -- parts of a commit: the transaction is the store's -------------------------------------------------------

    def write(self, batch: CommitBatch, job: JobRecord, run: int, now: float) -> None:
        """Everything of *batch* that is about items."""
        db = self._db
        if batch.items:
            # In order, neighbouring keys share a page of the table.
            rows = [(item.key, job.number, run, item.text, item.digest) for item in sorted(batch.items)]
            db.executemany(sql.HAD, rows)
        if batch.again:
            db.executemany(sql.HAD_AGAIN, [(job.number, key) for key in batch.again])
        if batch.superseded:
            db.executemany(sql.SUPERSEDE, [(position,) for position in batch.superseded])
        if batch.came:
            db.executemany(sql.COME, [(key,) for key in batch.came])
        if batch.expected:
            self._expect(batch.expected)
        if batch.announced:
            db.executemany(sql.ANNOUNCE, batch.announced.items())
        if batch.losses:
            db.executemany(sql.LOSE, batch.losses)
        if batch.tally:
            db.executemany(sql.COUNT, [(*which, count) for which, count in batch.tally.items()])
        if any(batch.moment):
            db.execute(sql.PASS_TIME, (int(now) // STRETCH * STRETCH, *batch.moment))

    def _expect(self, changes: dict[int, ExpectationChange]) -> None:
        announced: list[tuple[object, ...]] = []
        learned: list[tuple[object, ...]] = []
        for key, of in changes.items():
            opened = of.opened
            if of.is_announced:
                for source in of.sources or ("",):
                    announced.append((key, of.text, source, opened))
                    opened = 0
            if opened or of.collected or of.cause is not None or of.url is not None:
                learned.append((opened, int(of.collected), of.cause, of.request, of.url, of.payload, key))
        self._db.executemany(sql.EXPECT, announced)
        self._db.executemany(sql.LEARN, learned)
