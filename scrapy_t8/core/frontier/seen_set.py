"""The seen-set: the store has all of it, memory has what is new and what is asked for most."""

from __future__ import annotations

from scrapy_t8.core.page import Page
from scrapy_t8.stores.base import Store

HELD = 100_000
"""Fingerprints kept in memory, about 8 MB. A job that has seen no more never asks the store."""


class SeenSet:
    """Fingerprints of all requests ever admitted to the job."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held: set[int] = store.some_seen(HELD)
        self._is_complete = len(self._held) < HELD
        self.new: set[int] = set()
        """To become durable with the next commit."""
        self._late: set[int] = set()

    def __contains__(self, fingerprint: int) -> bool:
        if fingerprint in self._held or fingerprint in self._late:
            return True
        # What is in memory is durable, or becomes so in one commit with everything that was decided by it.
        return not self._is_complete and self._store.seen(fingerprint)

    def add(self, fingerprint: int) -> None:
        """Durable with the next commit, together with the entry that it belongs to."""
        self.new.add(fingerprint)
        if len(self._held) >= HELD:
            self._held = set(self.new)
            self._is_complete = False
        self._held.add(fingerprint)

    def add_with(self, page: Page, fingerprint: int) -> None:
        """Durable only when *page* settles: its request runs from memory, and a replay must run it again."""
        self.new.discard(fingerprint)
        self._held.discard(fingerprint)
        self._late.add(fingerprint)
        page.see_late(fingerprint)

    def settle(self, page: Page) -> None:
        """The fingerprints that waited for *page* become durable with it."""
        for fingerprint in page.late_seen:
            self._late.discard(fingerprint)
            self.add(fingerprint)
