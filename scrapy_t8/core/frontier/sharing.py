"""Values that requests of one page share: a dict with a counter, an item that several callbacks fill.

Each stored request has a copy of its own. So the requests of a page that carry something changeable run from memory, as
a part of the page, until the page has yielded all that it yields. By then it is clear which of them share a value. The
others are stored. Those that share one stay in memory, until some callbacks have left the value as it was: then it is
only read, and the requests are stored, too.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterable
from datetime import date, datetime
from typing import Any, Protocol

from itemadapter import ItemAdapter
from scrapy import Request

from scrapy_t8.core.page import Page
from scrapy_t8.errors import CannotStore
from scrapy_t8.model.entry import START
from scrapy_t8.model.stored.subclasses import own_attributes
from scrapy_t8.utils.log.loggers import get_logger

from .replay import ReplayGuard

logger = get_logger(__name__)

ATOMS = frozenset((str, int, float, bool, type(None), bytes, date, datetime))
"""Types of values that cannot be changed, and have no parts."""
OF_SCRAPY = frozenset(("handle_httpstatus_list", "redirect_urls", "redirect_reasons"))
"""Keys of meta whose values do not change."""
NODES = 50
"""Maximum number of checked parts of the values of one request."""
READERS = 3
"""Callbacks that leave a shared value as it was before the value counts as one that is only read."""
HELD = 2000
"""Requests of one page that wait for the end of its callback; of ``start()``, which may go on for hours, a few."""
HELD_OF_START = 64
READ_ONLY = 1000
"""Maximum number of values of one run that are known to be only read."""


class Shelf(Protocol):
    """A queue that holds a request in memory, and can store it."""

    def store(self, child: Child) -> None:
        """Let the request run as an entry of its own."""


@dataclasses.dataclass(eq=False, repr=False, slots=True)
class Child:
    """A request that runs from memory for now."""

    request: Request
    payload: bytes
    entry: int
    queue: Shelf
    page: Page
    values: list[Value] = dataclasses.field(default_factory=list)
    has_begun: bool = False
    """Whether its response has arrived, now or in an earlier attempt, so that its outputs belong to *page*."""

    @property
    def shares(self) -> bool:
        return any(len(value.children) > 1 and not value.is_read_only for value in self.values)


@dataclasses.dataclass(eq=False, repr=False, slots=True)
class Value:
    """A mutable value that requests of a page have."""

    value: Any
    children: list[Child] = dataclasses.field(default_factory=list)
    before: dict[Request, bytes] = dataclasses.field(default_factory=dict)
    """The bytes of the value when each callback began."""
    readers: int = 0
    is_changed: bool = False
    is_read_only: bool = False


class Sharing:
    """The requests that run from memory until it is clear whether they share a value.

    :param encode: returns a value as bytes, to see whether the value has changed.
    :param replay: takes the requests whose responses have come while they run from memory.
    """

    def __init__(self, encode: Callable[[Any], bytes], replay: ReplayGuard) -> None:
        self._encode = encode
        self._replay = replay
        self._values: dict[Page, dict[int, Value]] = {}
        self._children: dict[Request, Child] = {}
        """Those that have not ended."""
        self._of_source: dict[Request | Page, deque[Child]] = {}
        self._read_only: dict[int, Any] = {}
        self._warned: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._children or self._of_source)

    def hold(self, child: Child, source: Request | None, values: Iterable[Any]) -> bool:
        """Let a request run from memory for now. Return False if its values are known to be only read.

        :param source: the request whose callback yields it; None for ``start()``.
        :param values: what :func:`changeable` returns of it.
        """
        values = [value for value in values if id(value) not in self._read_only]
        known = self._values.setdefault(child.page, {}) if values else {}
        for part in values:
            value = known.setdefault(id(part), Value(part))
            value.children.append(child)
            child.values.append(value)
        if values:
            self._children[child.request] = child
            self._of_source.setdefault(source or child.page, deque()).append(child)
        return bool(values)

    def store_overdue(self, page: Page, source: Request | None) -> None:
        """Store requests that have waited long enough, and share nothing."""
        children, most = self._of_source[source or page], HELD if page.entry != START else HELD_OF_START
        while len(children) > most:
            self._store([children.popleft()])

    def begin(self, request: Request) -> None:
        """Record that the response to *request* is there."""
        child = self._children.get(request)
        if child is None:
            return
        if child.page.entry == START:
            self._store([child])
        has_begun, child.has_begun = child.has_begun, True
        for value in child.values:
            if len(value.children) > 1 and not value.is_changed:
                value.before[request] = self._bytes(value)
        if request in self._children and not has_begun:
            # What it yields belongs to its page from now on. So it must be a part of the page in a replay as well.
            self._replay.add(child.page, -child.entry, request, child.payload)

    def end(self, request: Request) -> None:
        """Record that *request* has left the engine. Store the requests that no longer need to run from memory."""
        child = self._children.pop(request, None)
        if child is not None:
            for value in child.values:
                self._store(self._compare(value, request))
        self._store(self._of_source.pop(request, ()))

    def end_of_start(self, page: Page) -> None:
        """Store the requests of ``start()`` that share nothing: ``start()`` was read to its end."""
        self._store(self._of_source.pop(page, ()))

    def settle(self, page: Page) -> None:
        """Forget what the requests of *page* share."""
        self._values.pop(page, None)

    def _compare(self, value: Value, request: Request) -> Iterable[Child]:
        """Check whether a callback has changed a shared value. Return the requests that have it if it is only read."""
        before = value.before.pop(request, None)
        if before is None or value.is_changed:
            return ()
        if not before or self._bytes(value) != before:
            value.is_changed = True
            self._warn(value, request)
            return ()
        value.readers += 1
        if value.readers < READERS:
            return ()
        value.is_read_only = True
        if len(self._read_only) < READ_ONLY:
            self._read_only[id(value.value)] = value.value
        return list(value.children)

    def _bytes(self, value: Value) -> bytes:
        """Return bytes that change with the value; none if the value contains something that cannot be stored."""
        try:
            return self._encode(value.value)
        except CannotStore:
            return b""

    def _store(self, children: Iterable[Child]) -> None:
        """Store those of *children* that share nothing and have not begun, and forget them."""
        for child in children:
            if child.request not in self._children or child.has_begun or child.shares:
                continue
            del self._children[child.request]
            known = self._values.get(child.page, {})
            for value in child.values:
                value.children.remove(child)
                if not value.children:
                    known.pop(id(value.value), None)
            child.values.clear()
            child.queue.store(child)

    def _warn(self, value: Value, request: Request) -> None:
        callback = getattr(request.callback, "__qualname__", None) or "the default callback"
        if callback not in self._warned:
            self._warned.add(callback)
            logger.warning(
                "%s (%s) has changed a %s that other requests of its page share. These run from memory: after a crash, "
                "the page that yielded them is fetched again. Further warnings for this callback are suppressed",
                request,
                callback,
                type(value.value).__name__,
            )


def changeable(request: Request) -> list[Any]:
    """Return the values that *request* carries, and their parts, that a callback could change."""
    parts = [part for key, part in request.meta.items() if type(part) not in ATOMS and key not in OF_SCRAPY]
    parts += [part for part in request.cb_kwargs.values() if type(part) not in ATOMS]
    if type(request) is not Request:
        parts += [part for part in own_attributes(request).values() if type(part) not in ATOMS]
    if not parts or any(str(key).startswith("t8_") for key in request.meta):
        return []  # what T8 itself has put in counts for an entry, and is not moved
    return _changeable_parts(parts)


def _changeable_parts(parts: list[Any]) -> list[Any]:
    found, seen = [], 0
    while seen < len(parts) and seen < NODES:
        part = parts[seen]
        seen += 1
        if isinstance(part, dict):
            parts.extend(part.values())
        elif isinstance(part, (list, set, tuple, frozenset)):
            parts.extend(part)
        elif type(part) not in ATOMS and ItemAdapter.is_item(part):
            parts.extend(ItemAdapter(part).values())
        elif not isinstance(part, bytearray):
            continue
        if not isinstance(part, (tuple, frozenset)) and not _is_frozen(part):
            found.append(part)
    return found


def _is_frozen(part: object) -> bool:
    """Whether *part* is an object of a frozen dataclass."""
    return bool(getattr(getattr(type(part), "__dataclass_params__", None), "frozen", False))
