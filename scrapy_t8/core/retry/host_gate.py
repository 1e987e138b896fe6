"""Holds back requests of hosts that are down or paused. The requests keep their place."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

from scrapy import Request
from scrapy.pqueues import DownloaderAwarePriorityQueue, ScrapyPriorityQueue

from scrapy_t8.core import scrapy_private

from .breaker import Breaker
from .hosts import Hosts

HELD = 10_000
"""Requests that are held back in memory, where the priority queue has no queues by host."""
HELD_OF_PORT = 1000
"""The same of one host whose download slot may have other hosts: the same name with another port."""


class HostGatedQueue:
    """A priority queue of Scrapy that returns only requests of hosts to which requests may go now.

    Of a :class:`~scrapy.pqueues.DownloaderAwarePriorityQueue` the queue of a paused host is set aside as a whole. From
    any other queue, requests of paused hosts are taken and held back, until there are too many; so are requests of a
    host that shares its download slot with other ports.

    :param hosts: the download slot and the host of a request.
    :param ask_known_page: called with a host that is to be probed, and *at_once*: begins a probe with a page that was
        answered before, and returns whether there is such a page.
    """

    def __init__(
        self,
        queue: Any,
        breaker: Breaker,
        hosts: Hosts,
        *,
        ask_known_page: Callable[..., bool],
        fingerprint: Callable[[Request], int],
        clock: Callable[[], float],
    ) -> None:
        self.queue = queue
        self._breaker = breaker
        self._slot_of = hosts.slot
        self._name_of = hosts.name
        self._ask_known_page = ask_known_page
        self._fingerprint = fingerprint
        self._clock = clock
        self._by_slot = isinstance(queue, DownloaderAwarePriorityQueue)
        self._parked: dict[str, tuple[str, Any]] = {}
        """By slot: the host that the slot waits for, and the queue of the slot."""
        self._held: defaultdict[str, deque[Request]] = defaultdict(deque)
        """By host."""
        self._free: deque[Request] = deque()

    def __len__(self) -> int:
        """Return how many requests may be taken now, as far as the queue has counted them."""
        return len(self.queue) + len(self._free)

    @property
    def is_full(self) -> bool:
        """Whether the maximum number of requests is held back."""
        return sum(map(len, self._held.values())) >= HELD

    @property
    def parked(self) -> set[str]:
        """The hosts that have requests set aside."""
        return {host for host, queue in self._parked.values() if len(queue)} | {h for h, q in self._held.items() if q}

    def next_opening(self) -> float | None:
        """Return when the first request that is set aside may go, in Unix seconds."""
        waiting = [host for host in self.parked if self._breaker[host].probing is None]
        return min(map(self._breaker.opens_at, waiting), default=None)

    def push(self, request: Request) -> None:
        """Add a request."""
        parked = self._parked.get(self._slot_of(request)) if self._parked else None
        (self.queue if parked is None else parked[1]).push(request)

    def pop(self) -> Request | None:
        """Take the next request of a host to which requests may go; None if there is none."""
        if not (self._breaker or self._parked or self._held or self._free):
            return self.queue.pop()  # type: ignore[no-any-return]
        now = self._clock()
        self._sort(now)
        probe = self._probe(now)
        if probe is not None:
            return probe
        return self._free.popleft() if self._free else self._pop_free(now)

    def close(self) -> Any:
        """Close all queues."""
        for _, queue in self._parked.values():
            queue.close()
        return self.queue.close()

    def _sort(self, now: float) -> None:
        """Set aside the queues of paused hosts, and restore the queues of other hosts."""
        for slot, (host, queue) in list(self._parked.items()):
            if self._breaker.takes(host, now):
                del self._parked[slot]
                if len(queue):
                    self.queue.pqueues[slot] = queue
        for host in [host for host in self._held if self._breaker.takes(host, now)]:
            self._free.extend(self._held.pop(host))
        if self._by_slot:
            for host in self._breaker.hosts():
                if host in self.queue.pqueues and not self._breaker.takes(host, now):
                    self._park(host, host)

    def _park(self, slot: str, host: str) -> None:
        self._parked[slot] = host, self.queue.pqueues.pop(slot, None) or self.queue.pqfactory(slot)

    def _probe(self, now: float) -> Request | None:
        # A suspicion is tested at once. Later, another outage may have begun, to which it does not belong.
        for host in self.parked | self._breaker.suspects():
            if not self._breaker.wants_probe(host, now):
                continue
            # When to test a suspicion is decided by the breaker: at once if it is of many requests.
            if self._ask_known_page(host, at_once=self._breaker[host].is_suspect):
                self._breaker.probe(host)
                continue
            request = self._pop_parked(host)
            if request is not None:
                self._breaker.probe(host, self._fingerprint(request))
                return request
        return None

    def _pop_parked(self, host: str) -> Request | None:
        """Take the probe of *host*: by turns the request that has failed most often, and the next one.

        Each retry has a lower priority than the attempt before. If every page fails at first, only a page that has
        failed before can show that the host is up. If those pages never work, only another page can.
        """
        is_retry = self._breaker[host].probes % 2 == 0
        if held := self._held.get(host):
            return _take_retry(held) if is_retry else held.popleft()
        queue = next((queue for parked, queue in self._parked.values() if parked == host), None)
        if is_retry and isinstance(queue, ScrapyPriorityQueue):
            return scrapy_private.pop_last(queue)
        return None if queue is None else queue.pop()

    def _pop_free(self, now: float) -> Request | None:
        while not self.is_full:
            request: Request | None = self.queue.pop()
            if request is None:
                return None
            host = self._name_of(request)
            if self._breaker.takes(host, now):
                return request
            self._hold(request, host)
        return None

    def _hold(self, request: Request, host: str) -> None:
        held = self._held[host]
        held.append(request)
        if self._by_slot and len(held) >= HELD_OF_PORT:
            self._park(self._slot_of(request), host)


def _take_retry(held: deque[Request]) -> Request:
    """Take the request that has failed most often; the first if none has."""
    request = max(held, key=lambda request: request.meta.get("retry_times", 0))
    held.remove(request)
    return request
