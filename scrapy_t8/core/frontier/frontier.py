"""The frontier: all requests known and not yet done, in memory as far as needed, in the store for the rest.

Everything changes here first and becomes durable with the next :class:`~scrapy_t8.model.batch.CommitBatch`.
A request pushed and settled between two commits is never written at all.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Protocol
from weakref import WeakSet

from scrapy import Request

from scrapy_t8.core.items.expectations import Expectations
from scrapy_t8.core.page import Page
from scrapy_t8.core.resume_points import ResumePointTracker, marks_of
from scrapy_t8.errors import CannotLoad, CannotStore
from scrapy_t8.model.attempts import AttemptHistory, ScheduledRetry
from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.model.codec import Codec
from scrapy_t8.model.entry import SEQ_BITS, START, Entry, QueueRecord, entry_id
from scrapy_t8.model.job import JobRecord, Recovery
from scrapy_t8.stores.base import Store

from .dead_letter_outbox import DeadLetterOutbox, letter_of
from .queue_registry import QueueRegistry
from .replay import ReplayGuard
from .seen_set import SeenSet

logger = logging.getLogger(__name__)


HELD = 20_000
"""Requests of all queues together that stay in memory, roughly."""


class TrimmableQueue(Protocol):
    """What the frontier asks of its queues."""

    def thin(self, keep: int) -> None:
        """Leave all but *keep* requests to the store, as far as it has them already."""

    def pop_live(self, page: Page) -> Request | None:
        """Lease a request of *page* that runs from memory."""


class Frontier:
    """The queues, the seen-set and what is in flight, for one run of a job.

    :param fingerprint: a request's fingerprint as an integer of 63 bits.
    :param unstorable: told of each request that has no stored form; may refuse it by raising.
    :param flush: commits everything that is pending, at once.
    :param points: the resume points that pages move.
    :param expectations: the items that requests are to bring.
    :param clock: the time, in Unix seconds.
    """

    def __init__(
        self,
        store: Store,
        codec: Codec,
        fingerprint: Callable[[Request], int],
        unstorable: Callable[[Request, CannotStore], None],
        flush: Callable[[], None],
        points: ResumePointTracker,
        expectations: Expectations,
        clock: Callable[[], float],
    ) -> None:
        self.store = store
        self.points = points
        self.expectations = expectations
        self.codec = codec
        self.fingerprint = fingerprint
        self.flush = flush
        self._unstorable = unstorable
        self.expect: Callable[[float], None] = lambda due: None
        """Told when an entry begins to wait, until when."""
        self.filters = True
        """Whether requests pass the seen-set. Not so where the project has a duplicate filter of its own."""
        self._clock = clock
        self.out: set[int] = set()
        """Entries whose row must not be read again: in flight, or settled and not yet committed."""
        self._leased: set[int] = set()
        self.flying: dict[Request, Page] = {}
        """The page that each request in flight belongs to."""
        self.live: set[Request] = set()
        """Those of them that run from memory: a part of their page, not the page itself."""
        self.added: dict[int, bytes] = {}
        self._stories: dict[int, str] = {}
        """What has become of entries in earlier attempts."""
        self._unmark: list[int] = []
        self._batch = CommitBatch()
        self._queues: WeakSet[TrimmableQueue] = WeakSet()
        self._pushed = 0

    def open(self, recovery: Recovery) -> None:
        """Take over what the store holds."""
        self.record: JobRecord = recovery.job
        self._attempt = recovery.run << 32
        self.book = QueueRegistry(self.store)
        self.burials = DeadLetterOutbox(self.store, self.record)
        self.spawned = ReplayGuard(self.store, self.fingerprint)
        self.seen = SeenSet(self.store)
        self.waiting = self.store.count_waiting()
        """Entries between two attempts."""
        self.suspects = deque(recovery.crashed)
        self._leased.update(entry.id for entry in recovery.crashed)
        self.out |= self._leased

    def __len__(self) -> int:
        """The entries not yet done: ready, waiting or in flight. What only memory knows is not counted."""
        return len(self.book) + len(self.added) + self.waiting

    # -- queues --------------------------------------------------------------------------------------------------

    def register(self, queue: TrimmableQueue) -> None:
        """Know *queue*, as long as it is in use."""
        self._queues.add(queue)

    def ready(self, record: QueueRecord) -> int:
        """How many stored entries of a queue are not in flight. Scrapy drops an empty queue and makes it anew."""
        if not record.stored:
            return 0
        away = [e for e in self._leased if e >> SEQ_BITS == record.id and e not in self.added]
        return record.stored - len(away)

    def take_all(self, record: QueueRecord) -> Iterator[Entry]:
        """Every stored entry of a queue, oldest first, to be given another home."""
        beyond = None
        while read := self.store.read(record.id, newest_first=False, beyond=beyond, limit=1000):
            beyond = read[-1].id
            yield from (entry for entry in read if entry.id not in self.out)

    def next_id(self, queue: QueueRecord) -> int:
        seq = self.record.next_seq
        self.record.next_seq += 1
        return entry_id(queue.id, seq)

    def covers(self, request: Request) -> bool:
        """Whether the seen-set knows *request*, so that a page that yields it again is understood without more."""
        return self.filters and not request.dont_filter

    # -- pages ---------------------------------------------------------------------------------------------------

    def new_page(self, entry: int | None, parent: Page | None = None) -> Page:
        self._attempt += 1
        page = Page(entry, self._attempt, parent)
        page.respawns = self.spawned.has(entry)
        return page

    def admit(self, queue: QueueRecord, payload: bytes, request: Request, page: Page | None) -> int:
        """Add a request to the frontier, as an output of *page* or in its place. Returns the id of its entry."""
        entry = self.next_id(queue)
        self.added[entry] = payload
        self._pushed += 1
        if page is not None and page.replacing:
            page.replaced = True
            self.spawned.inherit(page, entry)
            if page.story is not None:
                self._stories[entry] = page.story.dumps()
        else:
            self.record.ledger.admitted += 1
            self.points.admitted(request)
            self.expectations.admitted(request)
            if page is not None and not self.covers(request):
                self.spawned.add(page, entry, request)
        return entry

    def admit_live(self, request: Request, page: Page | None, error: CannotStore) -> Page:
        """Let a request run from memory as a part of *page*, which does not settle before it. Returns that page."""
        self._unstorable(request, error)
        self.points.admitted(request, live=True)
        self.expectations.admitted(request, live=True)
        if page is None:
            page = self.new_page(None)
        else:
            page.pending += 1
        if self.covers(request):
            self.seen.add_with(page, self.fingerprint(request))
        return page

    def rebuild(self, entry: int, payload: bytes) -> Request | None:
        """The request of a stored entry. One that cannot be made a request again is buried, and None returned."""
        try:
            return self.codec.decode_request(payload)
        except CannotLoad as error:
            self._bury(entry, payload, error)
            return None

    def lease(self, entry: int, request: Request) -> Request:
        """Begin the page of a stored request. Returns the request to send, which is an object of its own."""
        if request in self.flying:
            request = request.copy()
        self.out.add(entry)
        self._leased.add(entry)
        self.store.mark_in_flight(entry)
        self.flying[request] = page = self.new_page(entry)
        page.marks = marks_of(request)
        page.expects = self.expectations.of(request)
        if entry in self._stories:
            page.story = AttemptHistory.loads(self._stories[entry])
        return request

    def wake(self, waiting: ScheduledRetry) -> Page:
        """Begin the way back of an entry that waited: a request of this page takes its place."""
        page = self.new_page(waiting.id)
        page.woken = page.replacing = page.dropped = True
        page.story = AttemptHistory.loads(waiting.story)
        return page

    def wait(self, task: ScheduledRetry) -> None:
        """Admit an entry that waits from the beginning."""
        self.record.ledger.admitted += 1
        self.waiting += 1
        self._batch.waiting.append(task)
        self.expect(task.due)

    def next_task(self) -> int:
        """The id of an entry that is in no queue."""
        self.record.next_seq += 1
        return entry_id(0, self.record.next_seq - 1)

    def told(self, entry: Entry) -> None:
        """An entry was read from the store: keep its story at hand."""
        if entry.story is not None:
            self._stories[entry.id] = entry.story

    def next_live(self, page: Page) -> Request | None:
        """Lease a request that runs from memory as a part of *page*, out of its turn."""
        found = (queue.pop_live(page) for queue in list(self._queues))
        return next((request for request in found if request is not None), None)

    def lease_live(self, root: Page, request: Request) -> Request:
        """Begin a request that runs from memory: a part of the page that yielded it."""
        if request in self.flying:
            request = request.copy()
        self.flying[request] = root
        root.marks += marks_of(request)
        root.expects += tuple(expectation._replace(is_counted=False) for expectation in self.expectations.of(request))
        self.live.add(request)
        return request

    def _bury(self, entry: int, payload: bytes, error: CannotLoad) -> None:
        logger.error("A stored request goes to the dead-letter box (entry %d): %s", entry, error)
        self.execute(Entry(entry, payload, story=self._stories.pop(entry, None)), error.kind, str(error))

    def execute(self, entry: Entry, kind: str, error: str) -> None:
        """Bury a stored entry that never came to run."""
        url, callback = self.codec.outline(entry.payload)
        host = self.book.slot_of(entry.id)
        self.burials.bury(letter_of(entry, kind, error, self._clock(), url, host, callback))
        self.out.add(entry.id)
        self._remove(entry.id)
        with suppress(CannotLoad):
            for mark in marks_of(self.codec.decode_request(entry.payload)):
                self.points.settle(mark)

    def settle(self, page: Page) -> None:
        """Take a page whose outputs have all ended out of the frontier, or put it where its verdict says."""
        page.settled = True
        self.seen.settle(page)
        if page.marks:
            self.points.settled(page)
        if page.tasks and not isinstance(page.verdict, ScheduledRetry):
            for task in page.tasks:
                self.wait(task)
        if page.expected and not isinstance(page.verdict, ScheduledRetry):
            self.expectations.announce(page.expected)
        if page.memory is not None and page.parent is not None:
            self.record.next_seq += 1
            self.spawned.remember(page.parent, page.memory, self.record.next_seq)
        if page.entry is None:
            return
        if page.entry == START:
            self.record.start_done = True
        if page.verdict is None:
            self.spawned.forget(page)
        elif page.remembered or page.respawns:
            self.spawned.keep(page.entry)
        if page.woken:
            self._batch.reactivated.append(page.entry)
            self.waiting -= 1
        elif page.entry >> SEQ_BITS:
            self._remove(page.entry)
            self._unmark.append(page.entry)
        if page.entry:
            self._book(page)

    def _book(self, page: Page) -> None:
        verdict = page.verdict
        if isinstance(verdict, ScheduledRetry):
            self._batch.waiting.append(verdict)
            self.waiting += 1
            self.expect(verdict.due)
        elif verdict is not None:
            if page.delivered and page.story is not None:
                page.story.delivered += page.delivered
                verdict = replace(verdict, story=page.story.dumps())
            self.burials.bury(verdict)
        elif page.dropped:
            self.record.ledger.discarded += 1
        elif not page.replaced:
            self.record.ledger.done += 1

    def _remove(self, entry: int) -> None:
        self._leased.discard(entry)
        self._stories.pop(entry, None)
        if self.added.pop(entry, None) is None:
            self._batch.removed.append(entry)
            self.book.count(entry, -1)
        else:
            self.out.discard(entry)

    # -- commits -------------------------------------------------------------------------------------------------

    @property
    def pending(self) -> int:
        """The changes that wait for the next commit, roughly."""
        return len(self.added) + len(self.seen.new) + len(self._batch.removed) + self.expectations.pending

    def batch(self) -> CommitBatch:
        """Everything that changed since the last commit. To be followed by :meth:`committed`."""
        batch = self._batch
        self.spawned.drain(batch)
        for entry, payload in self.added.items():
            batch.added.append((entry, payload, self._stories.get(entry)))
            self.book.count(entry, 1)
        batch.seen = list(self.seen.new)
        batch.points = self.points.batch()
        batch.queues = self.book.changed()
        self.burials.drain(batch)
        return batch

    def committed(self) -> None:
        """The batch is durable: what was kept for it can go."""
        self.out.difference_update(self._batch.removed)
        for entry in self._unmark:
            self.store.unmark_in_flight(entry)
        self.spawned.committed()
        self.book.committed()
        for kept in (self.added, self.seen.new, self._unmark):
            kept.clear()
        self._batch = CommitBatch()
        if self._pushed >= HELD // 4:
            self._thin_out()

    def _thin_out(self) -> None:
        """Share the memory out among the queues. What goes is in the store, as a commit has just been."""
        self._pushed = 0
        for queue in list(self._queues):
            queue.thin(HELD // len(self._queues))
