"""Holds back requests of hosts that are down or paused. The requests keep their place."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

from scrapy import Request
from scrapy.pqueues import DownloaderAwarePriorityQueue

from .breaker import Breaker

HELD = 10_000
"""Requests that are held back in memory, where the priority queue cannot be asked for one host."""


class HostGatedQueue:
    """A priority queue of Scrapy's that gives out only requests of hosts that may be asked now.

    Of a :class:`~scrapy.pqueues.DownloaderAwarePriorityQueue` the queue of a paused host is set aside as a whole. From
    any other queue, requests of paused hosts are taken and held back, until there are too many.

    :param slot_of: the download slot of a request.
    """

    def __init__(
        self, queue: Any, breaker: Breaker, slot_of: Callable[[Request], str], *, clock: Callable[[], float]
    ) -> None:
        self.queue = queue
        self._breaker = breaker
        self._slot_of = slot_of
        self._clock = clock
        self._by_slot = isinstance(queue, DownloaderAwarePriorityQueue)
        self._parked: dict[str, Any] = {}
        self._held: defaultdict[str, deque[Request]] = defaultdict(deque)
        self._free: deque[Request] = deque()

    def __len__(self) -> int:
        """Return how many requests may be taken now, as far as is known."""
        return len(self.queue) + len(self._free)

    @property
    def is_full(self) -> bool:
        """Whether so many requests are held back that no more are taken until some may go."""
        return sum(map(len, self._held.values())) >= HELD

    @property
    def parked(self) -> set[str]:
        """The hosts that have requests set aside."""
        return {slot for slot, queue in self._parked.items() if len(queue)} | {s for s, q in self._held.items() if q}

    def next_opening(self) -> float | None:
        """Return when the first request that is set aside may go, in Unix seconds."""
        waiting = [slot for slot in self.parked if not self._breaker[slot].probing]
        return min(map(self._breaker.opens_at, waiting), default=None)

    def push(self, request: Request) -> None:
        """Add a request."""
        parked = self._parked.get(self._slot_of(request)) if self._parked else None
        (self.queue if parked is None else parked).push(request)

    def pop(self) -> Request | None:
        """Take the next request of a host that may be asked; None if there is none."""
        if not (self._breaker or self._parked or self._held or self._free):
            return self.queue.pop()  # type: ignore[no-any-return]
        now = self._clock()
        self._sort(now)
        probe = self._probe(now)
        if probe is not None:
            return probe
        if self._free:
            return self._free.popleft()
        return self.queue.pop() if self._by_slot else self._pop_free(now)

    def close(self) -> Any:
        """Close all queues."""
        for queue in self._parked.values():
            queue.close()
        return self.queue.close()

    def _sort(self, now: float) -> None:
        """Set aside the queues of paused hosts, and bring back the queues of hosts that may be asked."""
        for slot in [slot for slot in (*self._parked, *self._held) if self._breaker.takes(slot, now)]:
            if slot in self._parked:
                queue = self._parked.pop(slot)
                if len(queue):
                    self.queue.pqueues[slot] = queue
            self._free.extend(self._held.pop(slot, ()))
        if self._by_slot:
            for slot in self._breaker.hosts():
                if slot not in self._parked and not self._breaker.takes(slot, now):
                    self._parked[slot] = self.queue.pqueues.pop(slot, None) or self.queue.pqfactory(slot)

    def _probe(self, now: float) -> Request | None:
        for slot in self.parked:
            if self._breaker.wants_probe(slot, now):
                held = self._held.get(slot)
                request: Request | None = held.popleft() if held else self._parked[slot].pop()
                if request is not None:
                    self._breaker.probe(slot)
                    return request
        return None

    def _pop_free(self, now: float) -> Request | None:
        while not self.is_full:
            request: Request | None = self.queue.pop()
            if request is None:
                return None
            slot = self._slot_of(request)
            if self._breaker.takes(slot, now):
                return request
            self._held[slot].append(request)
        return None
