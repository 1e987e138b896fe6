"""The queues of the frontier: the open queues, and the stored records of all queues."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol
from weakref import WeakSet

from scrapy import Request

from scrapy_t8.core.page import Page
from scrapy_t8.model.entry import SEQ_BITS, QueueRecord
from scrapy_t8.stores.base import Store


class OpenQueue(Protocol):
    """The interface of an open queue."""

    def trim(self, keep: int) -> None:
        """Remove all but *keep* requests from memory, as far as the store has them already."""

    def pop_in_memory(self, page: Page) -> Request | None:
        """Lease a request of *page* that runs from memory."""

    def take_from_memory(self) -> Iterator[tuple[Request, Page]]:
        """Remove the requests that run from memory, and yield each with its page."""


class QueueRegistry:
    """The records of all queues of a job. A changed record goes into the next commit."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._by_key = {record.key: record for record in store.queues()}
        self._by_id = {record.id: record for record in self._by_key.values()}
        self._changed: set[int] = set()
        self._open: WeakSet[OpenQueue] = WeakSet()

    def __len__(self) -> int:
        """Return how many stored entries all queues have."""
        return sum(record.stored for record in self._by_key.values())

    def register(self, queue: OpenQueue) -> None:
        """Register *queue*, as long as the queue is open."""
        self._open.add(queue)

    def trim(self, keep: int) -> None:
        """Keep *keep* requests of the open queues in memory, and trim the rest. Call it after a commit."""
        for queue in list(self._open):
            queue.trim(keep // len(self._open))

    def take_from_memory(self) -> Iterator[tuple[Request, Page]]:
        """Remove all requests that run from memory and are not in flight, and yield each with its page."""
        for queue in list(self._open):
            yield from queue.take_from_memory()

    def next_in_memory(self, page: Page) -> Request | None:
        """Lease a request that runs from memory as a part of *page*, out of its turn."""
        found = (queue.pop_in_memory(page) for queue in list(self._open))
        return next((request for request in found if request is not None), None)

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
        """Record that all records are durable."""
        self._changed.clear()
