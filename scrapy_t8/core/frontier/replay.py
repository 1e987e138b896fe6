"""What an unsettled page has already yielded, so that nothing runs twice when the page is replayed.

Requests that the seen-set does not cover are remembered by fingerprint, callback, meta and cb_kwargs. A replayed page
may put texts into meta that are new at each attempt (a time, a token). So a request that equals no remembered one, but
has fingerprint, callback and method of one, is held back until the page has yielded everything. Then the requests that
are held back are paired with the remembered ones that the page has not yielded again, and those without a pair are new.
After a kill in between they are yielded again: they were never admitted.

A callback, and ``start()`` above all, may go on for ever, or wait for the response to a request that it has yielded. So
what is held back is admitted, without a pair, when the page has yielded nothing for a while.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias

from scrapy import Request
from scrapy.utils.asyncio import CallLaterResult, call_later

from scrapy_t8.core.page import Page, inside
from scrapy_t8.core.run import RunControl
from scrapy_t8.errors import CannotStore
from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.model.codec import Codec
from scrapy_t8.model.entry import SEQ_BITS, START, Outcome
from scrapy_t8.model.stored.identity import KIN, PART, PARTS, child_key, earlier_keys, pair
from scrapy_t8.stores.base import Store

MOST = 10_000
"""Requests of one page that are held back at a time. If there are more, they are paired before the page has ended."""

PATIENCE = 60.0
"""Seconds after which requests are held back no longer if their page yields nothing."""
PATIENCE_OF_START = 3.0
AFTER = b"\xff" * (PARTS * PART + 1)
"""What comes after the kin in no key."""
Key: TypeAlias = int | bytes
"""By what a child is remembered. Numbers are for items of ``start()``, and for requests in earlier releases."""
Remembered: TypeAlias = dict[bytes, deque[int]]
"""The remembered children of one kin that are not claimed, by key, in the order in which they were made."""


class ReplayGuard:
    """The children of unsettled pages: remembered in the store until their page settles.

    A request that could be stored, and whose callback ran from memory as a part of its page, is remembered with a
    negative number. What the callback has yielded is remembered as the page's. So when the page yields the request
    again, the request must be a part of the page again: else its outputs would come twice.

    :param control: ends pages whose last requests were held back.
    """

    def __init__(
        self, store: Store, codec: Codec, fingerprint: Callable[[Request], int], *, control: RunControl
    ) -> None:
        self._store = store
        self._codec = codec
        self._fingerprint = fingerprint
        self._control = control
        self._enqueue: Callable[[Request], object] = lambda request: None
        self._parents = store.parents()
        self._children: list[tuple[Page, int, Request, bytes]] = []
        self._reclaimed: set[int] = set()
        self._heirs: dict[int, int] = {}
        """Entries that take over another entry's children with the next commit, and the entry the store knows now."""
        self._rows: list[tuple[int, Key, int, int]] = []
        self._inherited: list[tuple[int, int]] = []
        self._forgotten: list[int] = []
        self._unclaimed: dict[Page, dict[bytes, Remembered]] = {}
        """The remembered children of replayed pages that were not yielded again so far, by kin."""
        self._held: dict[Page, list[tuple[bytes, Request]]] = {}
        self._timers: dict[Page, CallLaterResult] = {}
        self._admitted: Request | None = None
        """The request that was held back, and is admitted now."""
        self._parts: set[Request] = set()
        """Requests that are parts of their pages again."""

    def begin(self, enqueue: Callable[[Request], object]) -> None:
        """Admit requests that were held back with *enqueue* from now on."""
        self._enqueue = enqueue

    def has(self, entry: int | None) -> bool:
        """Whether an earlier attempt of *entry* has yielded children."""
        return entry in self._parents

    # -- a page yields something again ---------------------------------------------------------------------------

    def is_known_request(self, page: Page, request: Request, *, may_wait: bool) -> bool:
        """Whether a replayed *page* yields *request* again, or *request* is held back until that is clear.

        A request that has no stored form is not remembered.
        """
        if page.entry is None or request is self._admitted:
            return False
        try:
            payload = self._codec.encode_request(request)
        except CannotStore:
            return False
        fingerprint = self._fingerprint(request)
        key = child_key(fingerprint, payload)
        if page in self._held:
            self._set_timer(page)
        remembered = self._remembered(page, key[:KIN])
        if key in remembered:
            return self._runs_as_before(request, self._claim(page, key, remembered))
        if any(self.is_known_child(page, number) for number in earlier_keys(fingerprint, payload)):
            return True
        if remembered and may_wait:
            self._hold_back(page, key, request, remembered)
            return True
        return False

    def was_part(self, page: Page, request: Request, payload: bytes) -> bool:
        """Whether *request* ran from memory in an earlier attempt of a replayed *page*, so that it is a part again."""
        if request in self._parts:
            self._parts.remove(request)
            return True
        if not page.is_replay or page.entry is None or request.dont_filter:
            return False
        kin = child_key(self._fingerprint(request), payload)[:KIN]
        remembered = self._remembered(page, kin)
        key = next((key for key, children in remembered.items() if children[0] < 0), None)
        if key is None:
            return False
        self._claim(page, key, remembered)
        return True

    def _runs_as_before(self, request: Request, child: int) -> bool:
        """Whether *request*, which is *child* again, runs as an entry of its own. If not, note that it is a part."""
        if child < 0:
            self._parts.add(request)
        return child > 0

    def is_known_child(self, page: Page, fingerprint: int) -> bool:
        """Whether a replayed *page* yields again what an earlier attempt has yielded. Each child is claimed once."""
        if not page.is_replay or page.entry is None:
            return False
        for _, child in self._read(page, fingerprint, fingerprint):
            self._note_claim(page, fingerprint, child)
            return True
        return False

    def _remembered(self, page: Page, kin: bytes) -> Remembered:
        """Return the remembered children of *page* and one kin that are not claimed."""
        if page in self._unclaimed and kin in self._unclaimed[page]:
            return self._unclaimed[page][kin]
        found: Remembered = {}
        rows = self._read(page, kin, kin + AFTER)
        for key, child in sorted(rows, key=lambda row: seq(row[1])):
            found.setdefault(key, deque()).append(child)
        if len(rows) > 1:
            self._unclaimed.setdefault(page, {})[kin] = found
        return found

    def _read(self, page: Page, first: Key, last: Key) -> list[tuple[Any, int]]:
        assert page.entry is not None
        rows = self._store.spawned(self._heirs.get(page.entry, page.entry), first, last, before=page.attempt)
        return [(key, child) for key, child in rows if child not in self._reclaimed]

    def _claim(self, page: Page, key: bytes, remembered: Remembered) -> int:
        """Claim a child that is remembered by *key*. Return the child."""
        child = remembered[key].popleft()
        self._note_claim(page, key, child)
        if not remembered[key]:
            del remembered[key]
        return child

    def _note_claim(self, page: Page, key: Key, child: int) -> None:
        assert page.entry is not None
        self._reclaimed.add(child)
        self._rows.append((page.entry, key, child, page.attempt))

    def has_unclaimed_items(self, page: Page) -> bool:
        """Whether earlier readings of ``start()``, the *page*, have brought items that this one has not yielded."""
        return page.entry is not None and bool(self._read(page, -(1 << 63), (1 << 63) - 1))

    # -- requests that are held back -----------------------------------------------------------------------------

    def _hold_back(self, page: Page, key: bytes, request: Request, remembered: Remembered) -> None:
        self._unclaimed.setdefault(page, {})[key[:KIN]] = remembered
        if page not in self._held:
            page.hold()
            self._held[page] = []
            self._set_timer(page)
        self._held[page].append((key, request))
        if len(self._held[page]) >= MOST:
            self.pair(page)

    def _set_timer(self, page: Page) -> None:
        if page in self._timers:
            self._timers[page].cancel()
        patience = PATIENCE_OF_START if page.entry == START else PATIENCE
        self._timers[page] = call_later(patience, self._wait_no_longer, page)

    def _wait_no_longer(self, page: Page) -> None:
        self._admit(page, [request for _, request in self._held.get(page, ())])

    def holds_back(self, page: Page) -> bool:
        """Whether requests of *page* are held back. Then *page* waits for the time when they are paired."""
        return page in self._held

    def output_ended(self, page: Page) -> None:
        """Pair what is held back, if *page* waits for nothing else but the request that calls this."""
        if page in self._held and page.pending == 2:
            self.pair(page)

    def pair_all(self) -> bool:
        """Pair what is held back, since nothing else is left to do. Return whether anything was held back."""
        pages = [page for page in self._held if page.entry != START]
        for page in pages:
            self.pair(page)
        return bool(pages)

    def pair(self, page: Page) -> None:
        """Pair the requests of *page* that are held back with remembered ones, and admit those without a pair."""
        held = self._held.get(page, ())
        of_kin: dict[bytes, list[int]] = {}
        for place, (key, _) in enumerate(held):
            of_kin.setdefault(key[:KIN], []).append(place)
        known: set[int] = set()
        for kin, places in of_kin.items():
            pairs = self._claim_pairs(self._unclaimed[page][kin], [held[place][0] for place in places], page)
            known.update(
                places[number]
                for number, child in pairs.items()
                if self._runs_as_before(held[places[number]][1], child)
            )
        self._admit(page, [request for place, (_, request) in enumerate(held) if place not in known])

    def _claim_pairs(self, remembered: Remembered, held: list[bytes], page: Page) -> dict[int, int]:
        """Claim remembered children for requests of their kin that are held back. Return the children by place."""
        in_order = sorted((seq(child), key) for key, children in remembered.items() for child in children)
        keys = [key for _, key in in_order]
        return {number: self._claim(page, keys[place], remembered) for number, place in pair(held, keys).items()}

    def _admit(self, page: Page, requests: list[Request]) -> None:
        if self._held.pop(page, None) is None:
            return
        self._timers.pop(page).cancel()
        # A page that is tried again yields them again.
        for request in requests if page.outcome is not Outcome.RETRY else ():
            with inside(page):
                self._admitted = request
                self._enqueue(request)
        self._admitted = None
        self._control.end(page)

    # -- what is remembered --------------------------------------------------------------------------------------

    def remember(self, page: Page, key: Key, child: int) -> None:
        """Remember, until *page* settles, that the page has yielded *child*."""
        if page.entry is not None:
            self._rows.append((page.entry, key, child, page.attempt))
            self._parents.add(page.entry)
            page.remember_children()

    def add(self, page: Page, child: int, request: Request, payload: bytes) -> None:
        """Note that *page* has yielded *child*. The note is forgotten if the page settles in the same commit."""
        self._children.append((page, child, request, payload))

    def inherit(self, page: Page, entry: int) -> None:
        """Give *entry*, which replaces *page*, the children that earlier attempts have yielded."""
        if page.is_replay and page.entry is not None:
            self._inherited.append((page.entry, entry))
            self._heirs[entry] = self._heirs.get(page.entry, page.entry)
            self._parents.add(entry)

    def settle(self, page: Page) -> None:
        """Forget the children of *page*, unless the page has failed and may come again."""
        self._unclaimed.pop(page, None)
        if page.entry is None or not (page.has_child_rows or page.is_replay):
            return
        if page.retry is None and page.letter is None:
            self._forgotten.append(page.entry)
            self._parents.discard(page.entry)
        else:
            self._parents.add(page.entry)

    def drain(self, batch: CommitBatch) -> None:
        """Put what has changed into *batch*. To be followed by :meth:`committed`."""
        for page, child, request, payload in self._children:
            if not page.is_settled or page.retry is not None or page.letter is not None:
                self.remember(page, child_key(self._fingerprint(request), payload), child)
        batch.spawned, batch.inherited, batch.forgotten = self._rows, self._inherited, self._forgotten

    def committed(self) -> None:
        """Forget what the store knows by now."""
        self._rows, self._inherited, self._forgotten = [], [], []
        for kept in (self._children, self._reclaimed, self._heirs):
            kept.clear()


def seq(child: int) -> int:
    """Return the number of an entry in the order in which all entries of the job were made."""
    return abs(child) & (1 << SEQ_BITS) - 1
