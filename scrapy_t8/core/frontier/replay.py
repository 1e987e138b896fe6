"""What an unsettled page has already brought about, so that nothing of it runs twice when the page is replayed."""

from __future__ import annotations

from collections.abc import Callable

from scrapy import Request

from scrapy_t8.core.page import Page
from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.stores.base import Store


class ReplayGuard:
    """The children of unsettled pages: in the store, as the seen-set does not cover them, until their page settles."""

    def __init__(self, store: Store, fingerprint: Callable[[Request], int]) -> None:
        self._store = store
        self._fingerprint = fingerprint
        self._parents = store.parents()
        self._children: list[tuple[Page, int, Request]] = []
        self._reclaimed: set[int] = set()
        self._heirs: dict[int, int] = {}
        """Entries that take over what another has spawned with the next commit; until then it is under the other."""
        self._rows: list[tuple[int, int, int, int]] = []
        self._inherited: list[tuple[int, int]] = []
        self._forgotten: list[int] = []

    def has(self, entry: int | None) -> bool:
        """Whether *entry* has spawned something in an earlier attempt."""
        return entry in self._parents

    def again(self, page: Page, fingerprint: int) -> bool:
        """Whether a replayed *page* yields again what an earlier attempt of it has already brought about."""
        if not page.respawns or page.entry is None:
            return False
        parent = self._heirs.get(page.entry, page.entry)
        for child in self._store.spawned(parent, fingerprint, page.attempt):
            if child not in self._reclaimed:
                self._reclaimed.add(child)
                self._rows.append((page.entry, fingerprint, child, page.attempt))
                return True
        return False

    def remember(self, page: Page, fingerprint: int, child: int) -> None:
        """Until *page* settles, remember that it brought about *child*."""
        if page.entry is not None:
            self._rows.append((page.entry, fingerprint, child, page.attempt))
            page.remembered = True

    def add(self, page: Page, child: int, request: Request) -> None:
        """*page* has brought about *child*. That is forgotten if the page settles in the same commit."""
        self._children.append((page, child, request))

    def inherit(self, page: Page, entry: int) -> None:
        """*entry* takes the place of *page*, with all that was spawned in earlier attempts."""
        if page.respawns and page.entry is not None:
            self._inherited.append((page.entry, entry))
            self._heirs[entry] = self._heirs.get(page.entry, page.entry)
            self._parents.add(entry)

    def keep(self, entry: int) -> None:
        """The page of *entry* has failed and comes again: what it has spawned so far stays remembered."""
        self._parents.add(entry)

    def forget(self, page: Page) -> None:
        """*page* has settled: it will not come again."""
        if page.entry is not None and (page.remembered or page.respawns):
            self._forgotten.append(page.entry)
            self._parents.discard(page.entry)

    def drain(self, batch: CommitBatch) -> None:
        """Put what has changed into *batch*. To be followed by :meth:`committed`."""
        for page, child, request in self._children:
            if not page.settled or page.verdict is not None:
                self.remember(page, self._fingerprint(request), child)
        batch.spawned, batch.inherited, batch.forgotten = self._rows, self._inherited, self._forgotten

    def committed(self) -> None:
        self._rows, self._inherited, self._forgotten = [], [], []
        for kept in (self._children, self._reclaimed, self._heirs):
            kept.clear()
