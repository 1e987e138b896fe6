"""The queues of the frontier as the store knows them, and how many entries each has."""

from __future__ import annotations

from scrapy_t8.model.entry import SEQ_BITS, QueueRecord
from scrapy_t8.stores.base import Store


class QueueRegistry:
    """The records of all queues of a job. A changed record goes into the next commit."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._by_key = {record.key: record for record in store.queues()}
        self._by_id = {record.id: record for record in self._by_key.values()}
        self._changed: set[int] = set()

    def __len__(self) -> int:
        """Return how many stored entries all queues have."""
        return sum(record.stored for record in self._by_key.values())

    def all(self) -> list[QueueRecord]:
        """Return the queues that had entries when the job was opened, and the queues made since."""
        return list(self._by_key.values())

    def get(self, key: str) -> QueueRecord | None:
        """Return the queue that Scrapy calls *key*, if there is one."""
        return self._by_key.get(key)

    def new(self, key: str, slot: str | None) -> QueueRecord:
        """Make a queue for requests of a download slot."""
        record = self._store.new_queue(key, slot)
        self._by_key[key] = self._by_id[record.id] = record
        return record

    def slot_of(self, entry: int) -> str:
        """Return the download slot of the queue that *entry* is in."""
        return self._by_id[entry >> SEQ_BITS].slot or ""

    def count(self, entry: int, change: int) -> None:
        """Count an entry that the next commit adds to its queue (1) or removes (-1)."""
        queue = entry >> SEQ_BITS
        self._by_id[queue].stored += change
        self._changed.add(queue)

    def changed(self) -> list[QueueRecord]:
        """Return the records that have changed since the last commit."""
        return [self._by_id[queue] for queue in self._changed]

    def committed(self) -> None:
        """Note that all records are durable."""
        self._changed.clear()
