"""The outcomes of requests: the ledger, and the causes of requests that ended without a result."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypeVar

import msgpack

from scrapy_t8.config.causes import AGAIN, REPLACED, UNKNOWN, Accepted
from scrapy_t8.core.page import Page
from scrapy_t8.model.attempts import ScheduledRetry
from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.model.dead_letter import DeadLetter
from scrapy_t8.model.entry import Ending, Outcome
from scrapy_t8.model.job import JobRecord
from scrapy_t8.stores.base import Store
from scrapy_t8.utils.text import escape_surrogates

from .dead_letter_outbox import DeadLetterOutbox

if TYPE_CHECKING:
    from scrapy_t8.stores.reader.reader import Reader

CAUSES = 300
"""Different causes that are counted separately."""
OTHERS = "(others)"
EXAMPLES = 5
"""Requests of one cause that are kept as examples."""
OTHER_ITEMS = "the page has yielded other items than in the attempt that failed: the same item may be there twice"
KEPT = "causes"
"""Name under which the store keeps the examples."""
ACCEPT = "accept"
"""Name under which the store keeps T8_ACCEPT of the last run."""
REQUESTS, BESIDES = "cause", "cause besides"
"""Tallies: causes of discarded requests, and causes of other losses, which are not requests of the ledger."""


Later = TypeVar("Later", DeadLetter, ScheduledRetry)


class Endings:
    """Counts the outcomes of requests, in the commit that settles their pages. Keeps examples of each cause.

    :param record: the job, whose ledger counts the requests.
    """

    def __init__(self, store: Store, record: JobRecord, outbox: DeadLetterOutbox) -> None:
        self._record = record
        self._outbox = outbox
        self._examples = examples_of(store.kept(KEPT))
        self._counts: Counter[tuple[str, str]] = Counter()
        self._has_new_examples = False

    def book(self, page: Page) -> None:
        """Book the entry of *page*, which has ended for good."""
        if page.letter is not None:
            self._outbox.bury(self.with_delivered(page, page.letter))
        elif page.outcome is Outcome.DONE:
            self._record.ledger.done += 1
        elif page.outcome is Outcome.DISCARDED:
            self._discard(page.ending or Ending(REPLACED))

    @staticmethod
    def with_delivered(page: Page, entry: Later) -> Later:
        """Return *entry*, in which *page* comes again, with the records that the page has delivered."""
        if not page.delivered or page.history is None:
            return entry
        page.history.delivered += page.delivered
        story = page.history.dumps()
        return entry._replace(story=story)

    def book_in_memory(self, page: Page) -> None:
        """Book the requests of *page* that ran from memory.

        A crash loses such a request, and its page yields it again: it enters the ledger with its end, in one commit.
        """
        for end in page.ends_in_memory:
            self._record.ledger.admitted += 1
            if end is None:
                self._record.ledger.done += 1
            elif isinstance(end, Ending):
                self._discard(end)
            else:
                self._outbox.bury(end)

    def book_repeats(self, page: Page) -> None:
        """Book that items of *page* may be in the feeds twice, if that cannot be ruled out."""
        if page.may_repeat_items:
            self.add(Ending(AGAIN, page.keyless or "", note=OTHER_ITEMS), BESIDES)

    def _discard(self, ending: Ending) -> None:
        self._record.ledger.discarded += 1
        self.add(ending)

    def add(self, ending: Ending, tally: str = REQUESTS) -> None:
        """Count the cause of *ending*."""
        cause = escape_surrogates(ending.cause) or UNKNOWN
        if cause not in self._examples and len(self._examples) >= CAUSES:
            cause = f"{cause.partition(':')[0]}:{OTHERS}"
        self._counts[tally, cause] += 1
        examples = self._examples.setdefault(cause, [])
        if len(examples) < EXAMPLES:
            examples.append([escape_surrogates(part) for part in ending[1:]])
            self._has_new_examples = True

    def drain(self, batch: CommitBatch) -> None:
        """Put what has changed into *batch*."""
        batch.tally.update(self._counts)
        self._counts.clear()
        if self._has_new_examples:
            self._has_new_examples = False
            batch.kept[KEPT] = msgpack.packb(self._examples)


def examples_of(kept: dict[str, bytes]) -> dict[str, list[list[str]]]:
    """Return the stored examples by cause: URL, callback and note of each."""
    examples: dict[str, list[list[str]]] = msgpack.unpackb(kept[KEPT]) if KEPT in kept else {}
    return examples


def accepted_by(reader: Reader) -> Accepted:
    """Return the causes that the last run of the crawl accepted."""
    kept = reader.kept(ACCEPT)
    return Accepted(msgpack.unpackb(kept[ACCEPT]) if kept else ())
