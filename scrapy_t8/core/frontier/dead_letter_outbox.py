"""Dead letters on their way into the box."""

from __future__ import annotations

from dataclasses import replace

from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.model.dead_letter import DeadLetter
from scrapy_t8.model.entry import Entry
from scrapy_t8.model.job import JobRecord
from scrapy_t8.stores.base import Store


class DeadLetterOutbox:
    """What one run gives up on, and what it has had all the same.

    :param record: the job, whose books are kept with each burial.
    """

    def __init__(self, store: Store, record: JobRecord) -> None:
        self._store = store
        self._record = record
        self._buried: list[DeadLetter] = []
        self._resolved: list[int] = []
        self.fingerprints: set[int] = store.box.fingerprints()
        """Those of all requests that have a dead letter."""

    def look(self) -> None:
        """The box has been changed by somebody else."""
        self.fingerprints = self._store.box.fingerprints()

    def bury(self, letter: DeadLetter) -> None:
        """Put *letter* into the box. One of no entry (it ran from memory) is in no books."""
        record = self._record
        self._buried.append(replace(letter, job=record.id if letter.entry else "", spider=record.spider))
        if letter.entry:
            record.ledger.dead += 1
        if letter.fingerprint is not None:
            self.fingerprints.add(letter.fingerprint)

    def resolve(self, fingerprint: int) -> None:
        """The request with this fingerprint has succeeded: it needs no dead letter any more."""
        self.fingerprints.discard(fingerprint)
        self._resolved.append(fingerprint)

    def drain(self, batch: CommitBatch) -> None:
        """Put what has changed into *batch*."""
        batch.buried, self._buried = self._buried, []
        batch.resolved, self._resolved = self._resolved, []


def letter_of(entry: Entry, kind: str, error: str, when: float, url: str, host: str, callback: str) -> DeadLetter:
    """The letter of a stored entry that never came to run."""
    return DeadLetter(
        entry.id, entry.payload, kind, error, when, url=url, host=host, callback=callback, target=url, story=entry.story
    )
