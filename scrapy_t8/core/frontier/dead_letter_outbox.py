"""Dead letters on their way into the store."""

from __future__ import annotations

from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.model.dead_letter import DeadLetter
from scrapy_t8.model.entry import Entry
from scrapy_t8.model.job import JobRecord
from scrapy_t8.stores.base import Store


class DeadLetterOutbox:
    """Dead letters to be written, and fingerprints of requests whose dead letters are resolved.

    :param record: the job, whose ledger counts each dead letter.
    """

    def __init__(self, store: Store, record: JobRecord) -> None:
        self._store = store
        self._record = record
        self._buried: list[DeadLetter] = []
        self._resolved: list[int] = []
        self.fingerprints: set[int] = store.box.fingerprints()
        """Fingerprints of all requests that have a dead letter."""

    def reload(self) -> None:
        """Read the fingerprints again: another process has changed the dead letters."""
        self.fingerprints = self._store.box.fingerprints()

    def bury(self, letter: DeadLetter) -> None:
        """Add a dead letter, and count it in the ledger."""
        record = self._record
        self._buried.append(letter._replace(job=record.id, spider=record.spider))
        record.ledger.dead += 1
        if letter.fingerprint is not None:
            self.fingerprints.add(letter.fingerprint)

    def resolve(self, fingerprint: int) -> None:
        """Remove the dead letters of a request that has succeeded, if the request has any."""
        if fingerprint in self.fingerprints:
            self.fingerprints.discard(fingerprint)
            self._resolved.append(fingerprint)

    def drain(self, batch: CommitBatch) -> None:
        """Put what has changed into *batch*."""
        batch.buried, self._buried = self._buried, []
        batch.resolved, self._resolved = self._resolved, []


def letter_of(entry: Entry, kind: str, error: str, when: float, url: str, host: str, callback: str) -> DeadLetter:
    """Return the dead letter of a stored entry that never came to run."""
    return DeadLetter(
        entry.id, entry.payload, kind, error, when, url=url, host=host, callback=callback, target=url, story=entry.story
    )
