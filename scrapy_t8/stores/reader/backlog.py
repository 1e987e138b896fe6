"""What is still to be done, by slot and by stored request."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from scrapy_t8.errors import StoreError, remedy
from scrapy_t8.stores.sqlite.inflight_log import ids_in
from scrapy_t8.stores.statements import load_statements

ask = load_statements(Path(__file__).parent)


class Backlog:
    """What is ready, waiting and leased in the database *db* of the state in *directory*."""

    def __init__(self, db: sqlite3.Connection, directory: Path) -> None:
        self._db = db
        self._directory = directory

    def ready_by_slot(self) -> dict[str, int]:
        """Return how many requests are ready or leased, by slot."""
        return dict(self._db.execute(ask.READY_BY_SLOT))

    def waiting_by_slot(self) -> dict[str, int]:
        """Return how many requests wait for a retry, by slot."""
        return dict(self._db.execute(ask.WAITING_BY_SLOT))

    def ready(self) -> Iterator[bytes]:
        """Yield the payload of each request that is ready or leased."""
        return (payload for (payload,) in self._db.execute(ask.READY_PAYLOADS))

    def waiting(self) -> Iterator[bytes]:
        """Yield the payload of each request that waits for a retry."""
        return (payload for (payload,) in self._db.execute(ask.WAITING_PAYLOADS))

    def leased(self) -> list[tuple[str, bytes]]:
        """Return slot and payload of each request that the last run of a crawl has noted as in flight."""
        path = self._directory / "marks"
        try:
            data = path.read_bytes() if path.exists() else b""
        except OSError as error:
            raise StoreError(f"cannot read the state in {self._directory}: {error}. {remedy(error)}") from error
        rows = (self._db.execute(ask.LEASED_ENTRY, (entry,)).fetchone() for entry in ids_in(data)[1:])
        return [(slot, payload) for slot, payload in filter(None, rows)]

    def leased_tasks(self) -> dict[str, int]:
        """Return how many tasks of a service are leased, by task type."""
        return dict(self._db.execute(ask.LEASED_TASKS))
