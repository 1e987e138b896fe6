"""Dead letters on their way into the store."""

from __future__ import annotations

from scrapy import signals
from scrapy.utils.asyncio import call_later

from scrapy_t8.core import scrapy_private
from scrapy_t8.core.run import CommitParticipant, RunContext
from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.model.dead_letter import DeadLetter
from scrapy_t8.model.entry import Entry
from scrapy_t8.model.job import JobRecord
from scrapy_t8.stores.base import Store
from scrapy_t8.utils.log.loggers import get_logger

logger = get_logger(__name__)

FULL = "t8_failed_tasks_full"
"""The close reason of a crawl with too many dead letters."""
NEARLY = 0.9
"""The part of T8_MAX_FAILED_TASKS from which on a warning says so."""


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


class DeadLetterLimit(CommitParticipant):
    """Stops the crawl when the job has T8_MAX_FAILED_TASKS dead letters, if the project has set that limit.

    The job needs all of them. By default, a warning says at 1000 that there are many: plain Scrapy would go on, too.
    """

    def __init__(self, context: RunContext) -> None:
        self._crawler = context.crawler
        self._ledger = context.record.ledger
        self._limit = context.config.max_failed_tasks
        self._stops = context.crawler.settings.getpriority("T8_MAX_FAILED_TASKS") is not None
        self._has_warned = self._is_over = False
        # Scrapy can close a spider only after all handlers of the signal.
        context.crawler.signals.connect(self._open, signals.spider_opened, weak=False)
        self._is_open = False

    def fill(self, batch: CommitBatch) -> None:
        """Look how many dead letters there are. There is nothing to store."""
        dead = self._ledger.dead
        if not self._is_open or self._is_over or dead < NEARLY * self._limit:
            return
        if dead >= self._limit and not self._stops:
            self._is_over = True
            message = "The job has %d dead letters: 'scrapy t8 failed groups' shows their causes. The crawl goes on"
            logger.warning(message, dead)
        elif dead >= self._limit:
            self._is_over = True
            logger.error(
                "Closing: the job has %d dead letters (T8_MAX_FAILED_TASKS is %d). 'scrapy t8 failed' shows their "
                "causes. Revive or discard them, or raise T8_MAX_FAILED_TASKS, and run the same command again",
                dead,
                self._limit,
            )
            scrapy_private.close_spider(self._crawler, FULL)
        elif self._stops and not self._has_warned:
            self._has_warned = True
            logger.warning("The job has %d dead letters. At %d (T8_MAX_FAILED_TASKS) the crawl ends", dead, self._limit)

    def _open(self) -> None:
        call_later(0, self._begin)

    def _begin(self) -> None:
        self._is_open = True
        self.fill(CommitBatch())


def letter_of(entry: Entry, kind: str, error: str, when: float, url: str, host: str, callback: str) -> DeadLetter:
    """Return the dead letter of a stored entry that never came to run."""
    return DeadLetter(
        entry.id, entry.payload, kind, error, when, url=url, host=host, callback=callback, target=url, story=entry.story
    )
