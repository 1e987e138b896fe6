"""Remembers what an unsettled page has yielded, so that nothing runs twice when the page is replayed."""

from __future__ import annotations

from collections.abc import Callable

from scrapy import Request

from scrapy_t8.core.page import Page
from scrapy_t8.errors import CannotStore
from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.model.codec import Codec
from scrapy_t8.model.stored.identity import identity_of
from scrapy_t8.stores.base import Store
from scrapy_t8.utils.hashes import hash63


class ReplayGuard:
    """The children of unsettled pages: remembered in the store until their page settles.

    Only children that the seen-set does not cover are remembered: by their fingerprint, callback, meta and cb_kwargs,
    since requests for one URL may differ in these alone.
    """

    def __init__(self, store: Store, codec: Codec, fingerprint: Callable[[Request], int]) -> None:
        self._store = store
        self._codec = codec
        self._fingerprint = fingerprint
        self._parents = store.parents()
        self._children: list[tuple[Page, int, Request, bytes]] = []
        self._reclaimed: set[int] = set()
        self._heirs: dict[int, int] = {}
        """Entries that take over another entry's children with the next commit, and the entry the store knows now."""
        self._rows: list[tuple[int, int, int, int]] = []
        self._inherited: list[tuple[int, int]] = []
        self._forgotten: list[int] = []

    def has(self, entry: int | None) -> bool:
        """Whether an earlier attempt of *entry* has yielded children."""
        return entry in self._parents

    def is_known_request(self, page: Page, request: Request) -> bool:
        """Whether a replayed *page* yields *request* again. A request that has no stored form is not remembered."""
        if not page.is_replay or page.entry is None:
            return False
        try:
            payload = self._codec.encode_request(request)
        except CannotStore:
            return False
        fingerprint = self._fingerprint(request)
        # Earlier releases remembered only the fingerprint.
        return self.is_known_child(page, _child(fingerprint, payload)) or self.is_known_child(page, fingerprint)

    def is_known_child(self, page: Page, fingerprint: int) -> bool:
        """Whether a replayed *page* yields again what an earlier attempt has yielded. Each child is claimed once."""
        if not page.is_replay or page.entry is None:
            return False
        parent = self._heirs.get(page.entry, page.entry)
        for child in self._store.spawned(parent, fingerprint, page.attempt):
            if child not in self._reclaimed:
                self._reclaimed.add(child)
                self._rows.append((page.entry, fingerprint, child, page.attempt))
                return True
        return False

    def remember(self, page: Page, fingerprint: int, child: int) -> None:
        """Remember, until *page* settles, that the page has yielded *child*."""
        if page.entry is not None:
            self._rows.append((page.entry, fingerprint, child, page.attempt))
            page.remember_children()

    def add(self, page: Page, child: int, request: Request, payload: bytes) -> None:
        """Record that *page* has yielded *child*. The note is forgotten if the page settles in the same commit."""
        self._children.append((page, child, request, payload))

    def inherit(self, page: Page, entry: int) -> None:
        """Give *entry*, which replaces *page*, the children that earlier attempts have yielded."""
        if page.is_replay and page.entry is not None:
            self._inherited.append((page.entry, entry))
            self._heirs[entry] = self._heirs.get(page.entry, page.entry)
            self._parents.add(entry)

    def keep(self, entry: int) -> None:
        """Keep the children of *entry*: its page has failed and will be replayed."""
        self._parents.add(entry)

    def forget(self, page: Page) -> None:
        """Forget the children of *page*: the page will not be replayed."""
        if page.entry is not None and (page.has_child_rows or page.is_replay):
            self._forgotten.append(page.entry)
            self._parents.discard(page.entry)

    def drain(self, batch: CommitBatch) -> None:
        """Put what has changed into *batch*. Call :meth:`committed` afterwards."""
        for page, child, request, payload in self._children:
            if not page.is_settled or page.retry is not None or page.letter is not None:
                self.remember(page, _child(self._fingerprint(request), payload), child)
        batch.spawned, batch.inherited, batch.forgotten = self._rows, self._inherited, self._forgotten

    def committed(self) -> None:
        """Forget what is stored now."""
        self._rows, self._inherited, self._forgotten = [], [], []
        for kept in (self._children, self._reclaimed, self._heirs):
            kept.clear()


def _child(fingerprint: int, payload: bytes) -> int:
    """Return the fingerprint that distinguishes a request from the other children of its page."""
    return hash63(b"%d:%b" % (fingerprint, identity_of(payload)))
