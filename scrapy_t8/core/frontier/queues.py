"""One queue of the frontier: the end from which requests are popped is in memory, the rest in the store.

:class:`LifoQueue` is last in, first out; :class:`FifoQueue` is first in, first out. In both, entries that only
the store holds lie beyond ``edge``, and requests that run from memory keep their place in the order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from scrapy import Request

from scrapy_t8.core.page import Page, current_page, current_request
from scrapy_t8.errors import CannotStore
from scrapy_t8.model.entry import START, Entry
from scrapy_t8.utils.log.loggers import get_logger

from .frontier import Frontier
from .sharing import Child, changeable

logger = get_logger(__name__)

LOAD = 64
"""Entries read from the store at a time."""
KEEP = 512
"""Requests of one queue that stay in memory; twice as many before the queue is trimmed."""

Held: TypeAlias = tuple[int, Request | bytes]
InMemory: TypeAlias = tuple[int, Request, Page]


class FrontierQueue(ABC):
    """A queue with the interface that Scrapy's priority queues need, except the constructor.

    :param key: what Scrapy calls the queue. The queue's record is made with the first push if the store has none.
    :param slot_of: the download slot of a request.
    """

    newest_first: bool

    def __init__(self, frontier: Frontier, key: str, slot_of: Callable[[Request], str]) -> None:
        self._frontier = frontier
        self._key = key
        self._slot_of = slot_of
        self._record = frontier.registry.get(key)
        self._held: deque[Held] = deque()
        self._in_memory: deque[InMemory] = deque()
        self._stored = frontier.count_ready(self._record) if self._record is not None else 0
        """Ready entries that are not in memory."""
        self._edge: int | None = None
        frontier.registry.register(self)

    def __len__(self) -> int:
        return self._stored + len(self._held) + len(self._in_memory)

    def push(self, request: Request) -> None:
        """Add a request as an output of the current page. A request that has no stored form is kept in memory."""
        if self._record is None:
            self._record = self._frontier.registry.new(self._key, self._slot_of(request))
        page = current_page()
        if request in self._frontier.parts:
            self._add_part(request, page)
            return
        try:
            payload = self._frontier.codec.encode_request(request)
        except CannotStore as error:
            page = self._frontier.admit_in_memory(request, page, error)
            self._in_memory.append((self._frontier.next_id(self._record.id), request, page))
        else:
            if page is None or page.is_handing_over or not self._holds(request, payload, page):
                self._put(self._frontier.admit(self._record, payload, request, page), request)

    def _add_part(self, request: Request, page: Page | None) -> None:
        assert self._record is not None
        page = self._frontier.admit_part(request, page)
        self._in_memory.append((self._frontier.next_id(self._record.id), request, page))

    def _holds(self, request: Request, payload: bytes, page: Page) -> bool:
        """Whether *request* runs from memory, at least for now: it may share a value with other requests of *page*."""
        values = changeable(request)
        if not (values or page.is_replay):
            return False
        was_part = self._frontier.replay.was_part(page, request, payload)
        if values and self._shares(Child(request, payload, 0, self, page, has_begun=was_part), values):
            return True
        if was_part:
            self._add_part(request, page)
        return was_part

    def _shares(self, child: Child, values: list[Any]) -> bool:
        """Let *child* run from memory until it is clear whether another request has one of the *values*, if it may."""
        request, page = child.request, child.page
        sharing, source = self._frontier.sharing, current_request()
        if source not in self._frontier.in_flight:
            source = None
            if page.entry != START:
                return False  # the callback that yields it has ended
        if not sharing.hold(child, source, values):
            return False
        assert self._record is not None
        child.entry = self._frontier.next_id(self._record.id)
        self._frontier.admit_part(request, page)
        self._in_memory.append((child.entry, request, page))
        sharing.store_overdue(page, source)
        return True

    def store(self, child: Child) -> None:
        """Let a request that runs from memory, and has not begun, run as an entry of its own."""
        assert self._record is not None
        number = next((n for n, held in enumerate(self._in_memory) if held[1] is child.request), None)
        if number is None and child.request not in self._frontier.in_memory:
            return
        self._frontier.admit(self._record, child.payload, child.request, child.page, entry=child.entry)
        if number is None:
            self._frontier.lease_stored(child.entry, child.request)
        else:
            del self._in_memory[number]
            self._put_back(child.entry, child.request)
        self._frontier.release_part(child.request, child.page)

    def pop(self) -> Request | None:
        """Lease the next request. An entry that cannot be decoded becomes a dead letter, and the next one is leased."""
        while len(self):
            if not self._held and self._stored:
                self._load()
            if self._in_memory and (not self._held or self._is_in_memory_next()):
                _, request, page = self._pop(self._in_memory)
                return self._frontier.lease_in_memory(page, request)
            if not self._held:
                break
            entry, held = self._pop(self._held)
            found = held if isinstance(held, Request) else self._frontier.decode(entry, held)
            if found is not None:
                return self._frontier.lease(entry, found)
        return None

    def pop_in_memory(self, page: Page) -> Request | None:
        """Lease a request of *page* that runs from memory, out of its turn."""
        for number, (_, request, owner) in enumerate(self._in_memory):
            if owner is page:
                del self._in_memory[number]
                return self._frontier.lease_in_memory(page, request)
        return None

    def take_from_memory(self) -> Iterator[tuple[Request, Page]]:
        """Remove the requests that run from memory, and yield each with its page."""
        while self._in_memory:
            _, request, page = self._in_memory.popleft()
            yield request, page

    def peek(self) -> Request | None:
        """Return the next request without leasing it."""
        if not self._held and self._stored:
            self._load()
        if self._in_memory and (not self._held or self._is_in_memory_next()):
            return self._end(self._in_memory)[1]  # type: ignore[no-any-return]
        if not self._held:
            return None
        held = self._end(self._held)[1]
        return held if isinstance(held, Request) else self._frontier.codec.decode_request(held)

    def close(self) -> None:  # noqa: B027
        """Do nothing: the frontier outlives its queues."""

    @abstractmethod
    def trim(self, keep: int) -> None:
        """Remove all but *keep* requests from memory."""

    @abstractmethod
    def _put(self, entry: int, request: Request) -> None:
        """Keep an admitted request."""

    def _put_back(self, entry: int, request: Request) -> None:
        """Keep a request that was admitted later than its place in the queue says."""
        if self._edge is not None and self._stored and self._is_beyond_edge(entry):
            self._stored += 1
            return
        place = len(self._held)
        while place and self._held[place - 1][0] > entry:
            place -= 1
        self._held.insert(place, (entry, request))

    @abstractmethod
    def _is_beyond_edge(self, entry: int) -> bool:
        """Whether an entry lies where only the store holds entries."""

    def _is_in_memory_next(self) -> bool:
        in_memory, held = self._end(self._in_memory)[0], self._end(self._held)[0]
        return bool(in_memory > held if self.newest_first else in_memory < held)

    def _end(self, items: deque) -> tuple:  # type: ignore[type-arg]
        return items[-1] if self.newest_first else items[0]  # type: ignore[no-any-return]

    def _pop(self, items: deque) -> tuple:  # type: ignore[type-arg]
        return items.pop() if self.newest_first else items.popleft()  # type: ignore[no-any-return]

    def _load(self) -> None:
        """Read the next stored entries into memory, except those in flight."""
        while self._stored and not self._held:
            read = self._read()
            ready = [entry for entry in read if entry.id not in self._frontier.checked_out]
            for entry in ready:
                self._frontier.remember_history(entry)
                self._take(entry)
            self._stored -= len(ready)
            if not read:
                self._lost()

    def _read(self) -> list[Entry]:
        read = self._read_stored()
        if not read:
            # The next ones were pushed a moment ago.
            self._frontier.control.flush_or_raise()
            read = self._read_stored()
        if read:
            self._edge = read[-1].id
        return read

    def _read_stored(self) -> list[Entry]:
        assert self._record is not None
        return self._frontier.store.read(self._record.id, newest_first=self.newest_first, beyond=self._edge, limit=LOAD)

    def _lost(self) -> None:
        logger.error("Queue %s should hold %d more requests, but the store has none", self._key, self._stored)
        self._stored = 0

    @abstractmethod
    def _take(self, entry: Entry) -> None: ...


class LifoQueue(FrontierQueue):
    """Last in, first out. The store holds what was pushed before everything in memory."""

    newest_first = True

    def _put(self, entry: int, request: Request) -> None:
        self._held.append((entry, request))
        if len(self._held) >= 2 * KEEP:
            self.trim(KEEP)

    def _is_beyond_edge(self, entry: int) -> bool:
        return self._edge is not None and entry < self._edge

    def _take(self, entry: Entry) -> None:
        self._held.appendleft((entry.id, entry.payload))

    def trim(self, keep: int) -> None:
        """Remove the oldest requests from memory, as far as the store has them already."""
        while len(self._held) > keep and self._held[0][0] not in self._frontier.added:
            self._edge = self._held.popleft()[0] + 1
            self._stored += 1


class FifoQueue(FrontierQueue):
    """First in, first out. The store holds what was pushed after everything in memory."""

    newest_first = False

    def _put(self, entry: int, request: Request) -> None:
        if self._stored or len(self._held) >= 2 * KEEP:
            self._stored += 1
        else:
            self._held.append((entry, request))
            self._edge = entry

    def _is_beyond_edge(self, entry: int) -> bool:
        return self._edge is not None and entry > self._edge

    def _put_back(self, entry: int, request: Request) -> None:
        super()._put_back(entry, request)
        if self._held and not self._stored:
            self._edge = self._held[-1][0]

    def _take(self, entry: Entry) -> None:
        self._held.append((entry.id, entry.payload))

    def trim(self, keep: int) -> None:
        """Remove the newest requests from memory, as far as the store has them already."""
        while len(self._held) > keep and self._held[-1][0] not in self._frontier.added:
            self._edge = self._held.pop()[0] - 1
            self._stored += 1
