"""A stored request, and the queue that holds it.

The id of an entry is one integer: its queue in the high bits, its place in the push order in the low ones. So the ids
of a queue are a contiguous range, sorted as pushed, and a store finds the next request without a second index.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from scrapy_t8.utils.classes import record_class

SEQ_BITS = 38

START = 0
"""The id of ``start()`` as the parent of the requests that it yields."""


def entry_id(queue: int, seq: int) -> int:
    """Return the id of the entry at place *seq* of *queue*."""
    return (queue << SEQ_BITS) | seq


def queue_range(queue: int) -> tuple[int, int]:
    """Return the first and the last id that an entry of *queue* can have."""
    return queue << SEQ_BITS, ((queue + 1) << SEQ_BITS) - 1


class Ending(NamedTuple):
    """Why a request ended without a result.

    :param cause: in the words of T8_ACCEPT, as ``status:404``.
    :param url: of the request, as an example.
    :param callback: the spider's method that was to handle the response.
    :param note: more about the cause, in one line.
    """

    cause: str
    url: str = ""
    callback: str = ""
    note: str = ""


class Entry(NamedTuple):
    """One stored request. ``story`` has its attempts, as :meth:`AttemptHistory.dumps` returns them."""

    id: int
    payload: bytes
    crashes: int = 0
    story: str | None = None


@record_class(slots=True)
class QueueRecord:
    """A queue of the frontier: Scrapy's key of the queue, its download slot, the number of its stored entries."""

    id: int
    key: str
    slot: str | None
    stored: int = 0


class Outcome(Enum):
    """What becomes of the entry of a page.

    ::

        PENDING ──► HANDED_OVER ──► REPLACED    another request has taken the page's place
           │             │
           │             └────────► DISCARDED   no result, for a cause that is written down (Ending)
           ├──► RETRY                           the entry waits for another attempt
           ├──► DEAD                            the entry is a dead letter
           └──► DONE                            everything else, when the page settles
    """

    PENDING = "pending"
    HANDED_OVER = "handed over"
    DONE = "done"
    DISCARDED = "discarded"
    REPLACED = "replaced"
    RETRY = "retry"
    DEAD = "dead"
