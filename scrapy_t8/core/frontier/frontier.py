"""The frontier: all requests that are not done, in memory as far as needed, the rest in the store.

Everything changes here first and becomes durable with the next :class:`~scrapy_t8.model.batch.CommitBatch`. A request
that is pushed and settled between two commits is never written at all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress

from scrapy import Request

from scrapy_t8.core.items.expectations import Expectations
from scrapy_t8.core.page import Page
from scrapy_t8.core.resume_points import ResumePointTracker, marks_of
from scrapy_t8.core.run import CommitParticipant, RunContext, RunControl
from scrapy_t8.errors import CannotLoad, CannotStore
from scrapy_t8.model.attempts import DUE, AttemptHistory, ScheduledRetry
from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.model.entry import SEQ_BITS, START, Entry, Outcome, QueueRecord, entry_id
from scrapy_t8.utils.log.loggers import get_logger

from .dead_letter_outbox import DeadLetterOutbox, letter_of
from .endings import BESIDES, Endings
from .queue_registry import QueueRegistry
from .replay import ReplayGuard
from .seen_set import SeenSet
from .set_aside import SetAside
from .sharing import Sharing
from .unserializable import UnserializableRequests
from .waiting import WaitingEntries

logger = get_logger(__name__)

HELD = 20_000
"""Approximate number of requests of all queues together that stay in memory."""


class Frontier(CommitParticipant):
    """The queues, the seen-set and the requests in flight, for one run of a job.

    :param points: the resume points that pages move.
    :param expectations: the items that requests are expected to bring.
    """

    def __init__(
        self, context: RunContext, control: RunControl, points: ResumePointTracker, *, expectations: Expectations
    ) -> None:
        self.store = store = context.store
        self.record = context.record
        self.codec = context.codec
        self.fingerprint = context.fingerprint
        self.points = points
        self.expectations = expectations
        self.control = control
        self._clock = context.clock
        self._unserializable = UnserializableRequests(context.crawler, refuses=context.config.unserializable == "error")
        self._attempt = context.recovery.run << 32
        self.registry = QueueRegistry(store)
        self.outbox = DeadLetterOutbox(store, self.record)
        self.endings = Endings(store, self.record, self.outbox)
        self.parts: set[Request] = set()
        """Requests that must run from memory as a part of the current page, although they could be stored."""
        self.replay = ReplayGuard(store, self.codec, self.fingerprint, control=control)
        self.seen = SeenSet(store)
        self.has_seen_set = True
        """Whether requests pass the seen-set: not if the project has a duplicate filter of its own."""
        self.waiting = WaitingEntries(store)
        self.set_aside = SetAside(self.fingerprint)
        self.sharing = Sharing(self.codec.encode_item, self.replay)
        self.suspects = deque(context.recovery.crashed)
        """Entries with too many crashes of the process: each is tried alone."""
        self.in_flight: dict[Request, Page] = {}
        """The page that each request in flight belongs to."""
        self.in_memory: set[Request] = set()
        """The requests in flight that run from memory: a part of their page, not the page itself."""
        self.leased = {entry.id for entry in self.suspects}
        """Entries in flight, and entries that may not run beside others."""
        self.checked_out = set(self.leased)
        """Entries whose row must not be read again: in flight, or settled and not yet committed."""
        self.added: dict[int, bytes] = {}
        """Entries that the store does not have yet."""
        self._histories: dict[int, str] = {}
        """The earlier attempts of entries, as the store keeps them."""
        self._removed: list[int] = []
        self._unmark: list[int] = []
        self._pushed = 0

    def __len__(self) -> int:
        """Return the number of ready, waiting and leased entries. Requests that run from memory do not count."""
        return len(self.registry) + len(self.added) + len(self.waiting)

    # -- queues --------------------------------------------------------------------------------------------------

    def count_ready(self, record: QueueRecord) -> int:
        """Return how many stored entries of a queue are not in flight: Scrapy makes an empty queue anew."""
        if not record.stored:
            return 0
        away = [e for e in self.leased if e >> SEQ_BITS == record.id and e not in self.added]
        return record.stored - len(away)

    def read_all(self, record: QueueRecord) -> Iterator[Entry]:
        """Yield every stored entry of a queue, oldest first, to be moved to another queue."""
        beyond = None
        while read := self.store.read(record.id, newest_first=False, beyond=beyond, limit=1000):
            beyond = read[-1].id
            yield from (entry for entry in read if entry.id not in self.checked_out)

    def next_id(self, queue: int) -> int:
        """Return a new entry id in *queue*; queue 0 is for entries that are in no queue."""
        self.record.next_seq += 1
        return entry_id(queue, self.record.next_seq - 1)

    def leave_filtering_to_project(self) -> None:
        """Use no seen-set: the project has a duplicate filter of its own."""
        self.has_seen_set = False

    def is_filtered(self, request: Request) -> bool:
        """Whether the seen-set has *request*, so that a replayed page that yields it again needs no other record."""
        return self.has_seen_set and not request.dont_filter

    def is_known_child(self, page: Page, request: Request, *, may_wait: bool = True) -> bool:
        """Whether a replayed *page* yields *request* again, or may; the seen-set does not cover *request*."""
        if not page.is_replay or page.is_handing_over or self.is_filtered(request) or DUE in request.meta:
            return False
        return self.replay.is_known_request(page, request, may_wait=may_wait and request not in self.parts)

    # -- admission -----------------------------------------------------------------------------------------------

    def new_page(self, entry: int | None, parent: Page | None = None, *, was_waiting: bool = False) -> Page:
        """Begin an attempt of an entry, or a page that has no entry."""
        self._attempt += 1
        return Page(entry, self._attempt, parent, is_replay=self.replay.has(entry), was_waiting=was_waiting)

    def admit(
        self, queue: QueueRecord, payload: bytes, request: Request, page: Page | None, *, entry: int | None = None
    ) -> int:
        """Add a request to the frontier, as an output of *page* or in the page's place. Return the id of the entry."""
        entry = self.next_id(queue.id) if entry is None else entry
        self.added[entry] = payload
        self._pushed += 1
        if page is not None and page.is_handing_over:
            page.replace()
            self.replay.inherit(page, entry)
            if page.history is not None:
                self._histories[entry] = page.history.dumps()
        else:
            self.record.ledger.admitted += 1
            self.points.admitted(request)
            self.expectations.admitted(request)
            if page is not None and not self.is_filtered(request):
                self.replay.add(page, entry, request, payload)
        return entry

    def admit_in_memory(self, request: Request, page: Page | None, error: CannotStore) -> Page:
        """Let a request run from memory as a part of *page*, which does not settle before it. Return that page.

        :raises CannotStore: if the project refuses such requests.
        """
        self._unserializable.warn(request, error, page, self.in_memory)
        return self.admit_part(request, page)

    def admit_part(self, request: Request, page: Page | None) -> Page:
        """Let a request run from memory as a part of *page*, without a warning. Return that page."""
        self.parts.discard(request)
        self.points.admitted(request, live=True)
        self.expectations.admitted(request, live=True)
        if page is None:
            page = self.new_page(None)
        else:
            page.hold()
            if page.is_handing_over:
                page.go_on()
        if not request.dont_filter and (self.has_seen_set or self.seen.latest in self.seen.new):
            self.seen.add_with(page, self.fingerprint(request) if self.has_seen_set else self.seen.latest)
        return page

    def admit_waiting(self, retry: ScheduledRetry) -> None:
        """Admit an entry that waits from the beginning."""
        self.record.ledger.admitted += 1
        self.waiting.add(retry)

    # -- leases --------------------------------------------------------------------------------------------------

    def decode(self, entry: int, payload: bytes) -> Request | None:
        """Return the request of a stored entry. An entry that cannot be decoded becomes a dead letter: None."""
        try:
            return self.codec.decode_request(payload)
        except CannotLoad as error:
            logger.error("A stored request becomes a dead letter (entry %d): %s", entry, error)
            self.bury_unrun(Entry(entry, payload, story=self._histories.pop(entry, None)), error.kind, str(error))
            return None

    def lease(self, entry: int, request: Request) -> Request:
        """Begin the page of a stored request. Return the request to send, which is an object of its own."""
        if request in self.in_flight:
            request = request.copy()
        self.checked_out.add(entry)
        self.leased.add(entry)
        self.store.mark_in_flight(entry)
        self.in_flight[request] = page = self.new_page(entry)
        page.carry(marks_of(request), self.expectations.of(request))
        if entry in self._histories:
            page.begin_history(AttemptHistory.loads(self._histories[entry]))
        return request

    def lease_in_memory(self, root: Page, request: Request) -> Request:
        """Begin a request that runs from memory: a part of the page that yielded it."""
        if request in self.in_flight:
            request = request.copy()
        self.in_flight[request] = root
        expectations = (expectation._replace(is_counted=False) for expectation in self.expectations.of(request))
        root.carry(marks_of(request), tuple(expectations))
        self.in_memory.add(request)
        return request

    def lease_stored(self, entry: int, request: Request) -> None:
        """Give *request*, which is in flight and ran from memory, the page of an entry of its own."""
        self.in_memory.discard(request)
        del self.in_flight[request]
        self.lease(entry, request)

    def release_part(self, request: Request, page: Page) -> None:
        """Record that *request* is no longer a part of *page*, but an entry of its own."""
        if self.is_filtered(request):
            self.seen.release(page, self.fingerprint(request))
        self.control.end(page)

    def next_suspect(self) -> Request | None:
        """Lease the next of the suspects; None if there is none left."""
        while self.suspects:
            entry = self.suspects.popleft()
            request = self.decode(entry.id, entry.payload)
            if request is not None:
                logger.warning("%s is tried alone: the process died %d times during it", request, entry.crashes)
                self.remember_history(entry)
                return self.lease(entry.id, request)
        return None

    def replaceable(self, entry: int, story: str | None, *, was_waiting: bool = False) -> Page:
        """Begin to move an entry: a request of the returned page replaces the entry."""
        page = self.new_page(entry, was_waiting=was_waiting)
        page.hand_over()
        if story:
            page.begin_history(AttemptHistory.loads(story))
        return page

    def remember_history(self, entry: Entry) -> None:
        """Keep the earlier attempts of an entry that was read from the store."""
        if entry.story is not None:
            self._histories[entry.id] = entry.story

    def leave(self, request: Request) -> Page | None:
        """Take *request* out of the requests in flight. Return the page of the request."""
        self.in_memory.discard(request)
        return self.in_flight.pop(request, None)

    def bury_unrun(self, entry: Entry, kind: str, error: str) -> None:
        """Make a stored entry that did not run a dead letter."""
        url, callback = self.codec.outline(entry.payload)
        host = self.registry.slot_of(entry.id)
        self.outbox.bury(letter_of(entry, kind, error, self._clock(), url, host, callback))
        self.checked_out.add(entry.id)
        self._remove(entry.id)
        with suppress(CannotLoad):
            for mark in marks_of(self.codec.decode_request(entry.payload)):
                self.points.pass_position(mark)

    def recount(self) -> None:
        """Read again what another process may have changed in the store: waiting entries and dead letters."""
        self.waiting.recount()
        self.outbox.reload()

    # -- pages that settle ---------------------------------------------------------------------------------------

    def settle(self, page: Page) -> None:
        """Remove a page whose outputs have all ended from the frontier, or keep its entry as the outcome demands."""
        self.seen.settle(page)
        self.sharing.settle(page)
        self.endings.book_repeats(page)
        if page.outcome is not Outcome.RETRY:
            for doubt in page.doubts:
                self.endings.add(doubt, BESIDES)
            for retry in page.new_retries:
                self.admit_waiting(retry)
            if page.announcements:
                self.expectations.announce(page.announcements)
        if page.start_item_fingerprint is not None and page.parent is not None:
            self.record.next_seq += 1
            self.replay.remember(page.parent, page.start_item_fingerprint, self.record.next_seq)
        if page.ends_in_memory:
            self.endings.book_in_memory(page)
        if page.entry is not None:
            self._settle_entry(page, page.entry)

    def _settle_entry(self, page: Page, entry: int) -> None:
        if entry == START:
            self.record.start_done = True
        self.replay.settle(page)
        if page.was_waiting:
            self.waiting.remove(entry)
        elif entry >> SEQ_BITS:
            self._remove(entry)
            self._unmark.append(entry)
        if entry and page.retry is not None:
            self.waiting.add(self.endings.with_delivered(page, page.retry))
        elif entry:
            self.endings.book(page)

    def _remove(self, entry: int) -> None:
        self.leased.discard(entry)
        self._histories.pop(entry, None)
        if self.added.pop(entry, None) is None:
            self._removed.append(entry)
            self.registry.count(entry, -1)
        else:
            self.checked_out.discard(entry)

    # -- commits -------------------------------------------------------------------------------------------------

    def fill(self, batch: CommitBatch) -> None:
        """Put everything that has changed since the last commit into *batch*."""
        self.replay.drain(batch)
        for entry, payload in self.added.items():
            batch.added.append((entry, payload, self._histories.get(entry)))
            self.registry.count(entry, 1)
        batch.seen = list(self.seen.new)
        batch.removed = self._removed
        self.waiting.drain(batch)
        batch.queues = self.registry.changed()
        self.outbox.drain(batch)
        self.endings.drain(batch)

    def committed(self) -> None:
        """Forget what was kept for the batch: the batch is durable."""
        self.checked_out.difference_update(self._removed)
        self._removed = []
        for entry in self._unmark:
            self.store.unmark_in_flight(entry)
        self.replay.committed()
        self.registry.committed()
        self.seen.committed()
        self.added.clear()
        self._unmark.clear()
        if self._pushed >= HELD // 4:
            self._pushed = 0
            self.registry.trim(HELD)
