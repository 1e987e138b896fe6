"""The seen-set: all fingerprints are in the store; new ones, and as many as fit, are also in memory."""

from __future__ import annotations

from scrapy_t8.core.page import Page
from scrapy_t8.stores.base import Store

HELD = 100_000
"""Maximum number of fingerprints in memory, about 8 MB. A job with fewer of them does not read the store."""


class SeenSet:
    """The fingerprints of all requests that the job has admitted."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held: set[int] = store.some_seen(HELD)
        self._is_complete = len(self._held) < HELD
        self.new: set[int] = set()
        """Fingerprints that become durable with the next commit."""
        self.latest = 0
        """The fingerprint that was added last."""
        self._late: set[int] = set()

    def __contains__(self, fingerprint: int) -> bool:
        if fingerprint in self._held or fingerprint in self._late:
            return True
        # A fingerprint in memory is durable, or becomes so in one commit with everything that was decided by it.
        return not self._is_complete and self._store.seen(fingerprint)

    def __len__(self) -> int:
        """Return how many fingerprints are held in memory."""
        return len(self._held) + len(self._late)

    def add(self, fingerprint: int) -> None:
        """Add a fingerprint. It is durable with the next commit, together with its entry."""
        self.new.add(fingerprint)
        self.latest = fingerprint
        if len(self._held) >= HELD:
            self._held = set(self.new)
            self._is_complete = False
        self._held.add(fingerprint)

    def discard(self, fingerprint: int) -> None:
        """Take back a fingerprint that was added since the last commit."""
        for kept in (self.new, self._late, self._held):
            kept.discard(fingerprint)

    def add_with(self, page: Page, fingerprint: int) -> None:
        """Add a fingerprint that is durable only with *page*: a replay of the page must run the request again."""
        self.new.discard(fingerprint)
        self._held.discard(fingerprint)
        self._late.add(fingerprint)
        page.see_on_settle(fingerprint)

    def release(self, page: Page, fingerprint: int) -> None:
        """Make a fingerprint that waited for *page* durable with the next commit."""
        page.see_now(fingerprint)
        self._late.discard(fingerprint)
        self.add(fingerprint)

    def settle(self, page: Page) -> None:
        """Make the fingerprints that waited for *page* durable with the page."""
        for fingerprint in page.fingerprints_on_settle:
            self._late.discard(fingerprint)
            self.add(fingerprint)

    def committed(self) -> None:
        """Record that all new fingerprints are durable."""
        self.new.clear()
