"""A stored request, and the queue that it is in.

An entry's id is one integer: its queue in the high bits, its place in the push order in the low ones. So the ids of
a queue are a contiguous range, sorted as pushed, and no store needs a second index to find the next request."""

from __future__ import annotations

from dataclasses import dataclass

SEQ_BITS = 38

START = 0
"""The id under which ``start()`` is the parent of what it yields."""


def entry_id(queue: int, seq: int) -> int:
    return (queue << SEQ_BITS) | seq


def queue_range(queue: int) -> tuple[int, int]:
    """The first and the last id that an entry of *queue* can have."""
    return queue << SEQ_BITS, ((queue + 1) << SEQ_BITS) - 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored request. ``story`` is what has become of it so far, as :meth:`Story.dumps` gives it."""

    id: int
    payload: bytes
    crashes: int = 0
    story: str | None = None


@dataclass(slots=True)
class QueueRecord:
    """A queue of the frontier: Scrapy's key for it, the download slot it serves, its stored entries."""

    id: int
    key: str
    slot: str | None
    stored: int = 0
