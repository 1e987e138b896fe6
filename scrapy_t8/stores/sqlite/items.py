"""Exported, expected and lost items in SQLite, and the jobs that have ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgpack

from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.model.items import ExpectationChange, ExportPlace, ItemKey, LastExport, RefetchStatus
from scrapy_t8.model.job import JobRecord, PastJob

from .tables import SQLiteTables, sql

STRETCH = 10
"""Seconds in each row of the timeline."""
PLACE = b"\x93"
"""The first byte of a packed :class:`ExportPlace`, a list of three. Digests of fields are a map."""


class SQLiteItems(SQLiteTables):
    """The exported and expected items of a store, and the jobs that have ended. Commits change most of it."""

    def item(self, key: int) -> LastExport | None:
        """Return the last export of the item with this hash of its key."""
        with self._guard("read"):
            row = self._db.execute(sql.ITEM, (key,)).fetchone()
        return None if row is None else _export(*row)

    def some_items(self, limit: int) -> dict[int, LastExport]:
        """Return the last exports of all items by the hash of their key, or of any *limit* items if there are more."""
        with self._guard("read"):
            rows = self._db.execute(sql.SOME_ITEMS, (limit,))
            return {row[0]: LastExport(*row[1:3]) if row[3] is None else _export(*row[1:]) for row in rows}

    def superseded(self) -> Iterator[int]:
        """Yield the exported items, counted from 0, that later ones have replaced, in order."""
        with self._guard("read"):
            yield from (position for (position,) in self._db.execute(sql.SUPERSEDED))

    def items_to_request(self) -> dict[str, int]:
        """Return the missing items whose requests the spider makes: the hash of the key, by its text."""
        return {text: key for key, text in self.rows(sql.ITEMS_TO_REQUEST)}

    def set_refetch_status(self, keys: list[int], status: RefetchStatus) -> None:
        """Set whether missing items are fetched again."""
        with self._guard("write"), self._transaction() as db:
            db.executemany(sql.SET_REFETCH_STATUS, [(status, key) for key in keys])

    def expect_last(self, spider: str, source: str) -> int:
        """Expect all items of the last good job of *spider*. Return their number."""
        with self._guard("write"), self._transaction() as db:
            good = db.execute(sql.LAST_GOOD, (spider,)).fetchone()[0]
            values = {"source": source, "good": good, "spider": spider}
            return 0 if good is None else db.execute(sql.EXPECT_LAST, values).rowcount

    def add_past_job(self, job: PastJob) -> None:
        """Add a job that has ended."""
        row = (job.id, job.number, job.spider, job.begun, job.ended, job.items, int(job.good))
        with self._guard("write"), self._transaction() as db:
            db.execute(sql.ADD_PAST_JOB, row)

    # -- parts of a commit: the transaction is the store's -------------------------------------------------------

    def write(self, batch: CommitBatch, job: JobRecord, run: int, now: float) -> None:
        """Write everything of *batch* that is about items."""
        db = self._db
        # In order, neighbouring keys share a page of the table.
        rows = [(item.key, job.number, run, item.text, _digest(item)) for item in sorted(batch.items)]
        db.executemany(sql.UPSERT_ITEM, rows)
        db.executemany(sql.TOUCH_ITEM, [(job.number, key) for key in batch.touched])
        db.executemany(sql.SUPERSEDE, [(position,) for position in batch.superseded])
        db.executemany(sql.MARK_COLLECTED, [(key,) for key in batch.collected])
        self._expect(batch.expected)
        db.executemany(sql.ANNOUNCE, batch.announced.items())
        db.executemany(sql.ADD_LOSS, batch.losses)
        db.executemany(sql.ADD_TALLY, [(*which, count) for which, count in batch.tally.items()])
        if any(batch.progress):
            db.execute(sql.ADD_TIMELINE, (int(now) // STRETCH * STRETCH, *batch.progress))

    def _expect(self, changes: dict[int, ExpectationChange]) -> None:
        announced: list[tuple[object, ...]] = []
        updated: list[tuple[object, ...]] = []
        for key, of in changes.items():
            opened = of.opened
            if of.is_announced:
                for source in of.sources or ("",):
                    announced.append((key, of.text, source, opened))
                    opened = 0
            if opened or of.collected or of.cause is not None or of.url is not None:
                updated.append((opened, int(of.collected), of.cause, of.request, of.url, of.payload, key))
        self._db.executemany(sql.EXPECT, announced)
        self._db.executemany(sql.UPDATE_EXPECTED, updated)


# The column ``digest`` has one of two things, of which the policy of a job needs one.


def _digest(item: ItemKey) -> bytes | None:
    return item.digest if item.place is None else msgpack.packb(item.place)


def _export(job: int, run: int, digest: Any) -> LastExport:
    if digest is None or digest[:1] != PLACE:
        return LastExport(job, run, digest)
    return LastExport(job, run, place=ExportPlace(*msgpack.unpackb(digest)))
