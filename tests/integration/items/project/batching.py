"""Pipelines that collect rows, and write them to a database when T8 asks for it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from typing import Any

from scrapy import Request, Spider

from tests.support.probe import may_end, note, switched_on

PAGES, ITEMS = 60, 3


class Batches:
    """Keeps rows in memory until ``t8_commit``, which writes them in one transaction."""

    def open_spider(self) -> None:
        self.rows: list[tuple[str, int]] = []
        self.calls = 0
        self.db = sqlite3.connect("rows.db")
        self.db.execute("CREATE TABLE IF NOT EXISTS rows (key TEXT PRIMARY KEY, page INTEGER)")

    def process_item(self, item: Any) -> Any:
        self.rows.append((item["id"], item["page"]))
        return item

    async def t8_commit(self) -> None:
        self.calls += 1
        rows = self.rows
        self.rows = []
        may_end("before the write")
        if switched_on("hangs") and self.calls > 1:
            note("hangs")
            may_end("it hangs")
            await asyncio.sleep(3600)
        await asyncio.sleep(0)
        if switched_on("bug") and any(page % 7 == 3 for _, page in rows):
            raise ValueError("no such column: price")
        if switched_on("outage") and self.calls in (2, 3, 4):
            self.rows = rows + self.rows
            raise ConnectionRefusedError("the database is away")
        with self.db:
            self.db.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?)", rows)
        may_end("after the write")

    def close_spider(self) -> None:
        note(f"closes with {len(self.rows)} rows")
        self.db.close()


class PlainBatches(Batches):
    """The same without a coroutine."""

    def t8_commit(self) -> None:  # type: ignore[override]
        rows, self.rows = self.rows, []
        may_end("before the write")
        with self.db:
            self.db.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?)", rows)
        may_end("after the write")


class BatchingSpider(Spider):
    """Yields pages in a chain of lists, so that some requests come late."""

    name = "batching"

    async def start(self) -> AsyncIterator[Any]:
        """Yield an item that belongs to no page, and the first requests."""
        yield {"id": "start", "page": -1}
        for number in range(0, PAGES, 10):
            yield Request(f"data:,{number}", self.parse)

    def parse(self, response: Any) -> Iterator[Any]:
        number = int(response.text)
        note(f"page {number}")
        may_end("page")
        for item in range(ITEMS):
            yield {"id": f"{number}/{item}", "page": number}
        if number % 10 != 9:
            yield Request(f"data:,{number + 1}", self.parse)
