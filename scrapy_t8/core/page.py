"""A page: one request from the frontier, with all outputs of its callback.

The context (:mod:`contextvars`) in which an output is produced determines the page of the output: Scrapy runs each
callback in its own task, and tasks inherit their context, through generators, item pipelines and signals.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

from scrapy import Request

from scrapy_t8.model.attempts import AttemptHistory, ScheduledRetry
from scrapy_t8.model.dead_letter import DeadLetter
from scrapy_t8.model.entry import Ending, Outcome
from scrapy_t8.model.items import Expectation

from .staging import NO_ITEMS, PageItems, record_fingerprint

ITEMS = "items"
"""Pseudo name of a sink, for the fingerprints of item outcomes."""

_current: ContextVar[Page | None] = ContextVar("t8_page", default=None)
_request: ContextVar[Request | None] = ContextVar("t8_request", default=None)


@dataclass(slots=True, eq=False, repr=False)
class Page:
    """The state of a page until the page is settled.

    Most attributes are empty for most pages, and then no container is made: each container that lives until the commit
    brings the next run of the garbage collector nearer, which costs more than all else that is done here.

    :param entry: the id of the stored request; None for work without a stored request.
    :param attempt: a number that grows with every lease of the job, so that older attempts can be recognised.
    :param parent: a page that must not settle before this one.
    :param is_replay: whether an earlier attempt has already yielded some of the page's children.
    :param was_waiting: whether the entry waited for a retry, and is now in a queue again.
    """

    entry: int | None
    attempt: int = 0
    parent: Page | None = None
    _: KW_ONLY
    is_replay: bool = False
    was_waiting: bool = False
    pending: int = 1
    """The number of ends that the page waits for: its own, those of its requests from memory, of child pages."""
    outcome: Outcome = Outcome.PENDING
    retry: ScheduledRetry | None = None
    """The entry of the next attempt, if the outcome is a retry."""
    letter: DeadLetter | None = None
    """The dead letter, if the outcome is dead."""
    ending: Ending | None = None
    """The reason without a result, if the outcome is discarded."""
    doubts: tuple[Ending, ...] = ()
    """Missing outputs of a page that is done, or that belongs to no request."""
    ends_in_memory: Sequence[DeadLetter | Ending | None] = ()
    """The outcomes of the requests of the page that ran from memory: None for success."""
    is_settled: bool = False
    """Whether the page is part of the next commit, so that its children need not be remembered."""
    history: AttemptHistory | None = None
    """The earlier attempts of the request, if they have failed."""
    request: Request | None = None
    """The request, after it has left the engine, if it may not have brought its expected items."""
    host: str = ""
    """Host and callback of the request, after it has left the engine."""
    callback: str = ""
    """Who handled the response, once the request has left the engine."""
    positions: tuple[Any, ...] = ()
    """Positions of resume points that are done when the page settles."""
    expectations: tuple[Expectation, ...] = ()
    """Items that the request is expected to bring."""
    announcements: Sequence[tuple[str, str, int | None]] = ()
    """Announcements of the page: source, key, total."""
    new_retries: tuple[ScheduledRetry, ...] = ()
    """New entries of the page that wait from the beginning."""
    fingerprints_on_settle: Set[int] = frozenset()
    """Fingerprints of requests that run from memory: durable only with the page."""
    start_item_fingerprint: int | None = None
    """The fingerprint by which the unsettled parent remembers this page, if the page is an item of ``start()``."""
    swapped: Request | None = None
    """The request of the page, while a request that a middleware has sent instead is in flight."""
    has_child_rows: bool = False
    """Whether the store remembers children of this page."""
    delivered: tuple[int, ...] = ()
    """Fingerprints of the records that are in the feeds although the page has failed."""
    keyless: str | None = None
    """The URL of an exported item without a key, if earlier attempts have delivered items."""
    _items: PageItems | None = None
    _undelivered: Counter[int] | None = None
    """Records that earlier attempts have delivered, and this attempt has not yielded yet."""
    _has_other_records: bool = False
    """Whether this attempt has yielded records that no earlier attempt has delivered."""

    def __post_init__(self) -> None:
        if self.parent is not None:
            self.parent.hold()

    # -- outcome -------------------------------------------------------------------------------------------------

    def hand_over(self) -> None:
        """Let the next request that is enqueued in the context of this page replace the page."""
        self.outcome = Outcome.HANDED_OVER

    def go_on(self) -> None:
        """Cancel :meth:`hand_over`: the page goes on itself, from memory or by a retry handler."""
        self.outcome = Outcome.PENDING

    def swap(self, request: Request | None) -> None:
        """Record that a middleware has sent another request for *request*, the page's own; None: that one has ended."""
        self.swapped = request

    def came_back(self) -> None:
        """Record that the request, which a middleware had set aside, is in the frontier again."""
        self.swapped = None
        if self.outcome is not Outcome.REPLACED:
            self.outcome = Outcome.PENDING

    def replace(self) -> None:
        """Record that another entry has replaced the entry of this page."""
        self.outcome = Outcome.REPLACED

    def discard(self, ending: Ending) -> None:
        """Record the cause for which the request ends without a result. The first cause stays."""
        self.outcome, self.ending = Outcome.DISCARDED, self.ending or ending

    def doubt(self, ending: Ending) -> None:
        """Record that an output of the page is missing, for which no request can be given up."""
        self.doubts += (ending,)

    def end_in_memory(self, end: DeadLetter | Ending | None) -> None:
        """Record the outcome of a request of the page that ran from memory."""
        if not isinstance(self.ends_in_memory, list):
            self.ends_in_memory = []
        self.ends_in_memory.append(end)

    def retry_later(self, retry: ScheduledRetry) -> None:
        """Let the entry wait for its next attempt."""
        self.outcome, self.retry = Outcome.RETRY, retry

    def bury(self, letter: DeadLetter) -> None:
        """Make the entry a dead letter."""
        self.outcome, self.letter = Outcome.DEAD, letter

    def settle(self) -> None:
        """Fix the outcome: all outputs of the page have ended and are written."""
        self.is_settled = True
        if self.outcome is Outcome.PENDING:
            self.outcome = Outcome.DONE
        elif self.outcome is Outcome.HANDED_OVER:
            self.outcome = Outcome.DISCARDED

    @property
    def is_handing_over(self) -> bool:
        return self.outcome is Outcome.HANDED_OVER

    @property
    def goes_on(self) -> bool:
        """Whether the work of this page continues: in another attempt, or in the entry that replaced it."""
        return self.outcome is Outcome.RETRY or self.outcome is Outcome.REPLACED

    # -- what the page waits for ---------------------------------------------------------------------------------

    def hold(self) -> None:
        """Wait for one more end."""
        self.pending += 1

    def release(self) -> bool:
        """Record one end. Return whether it was the last one."""
        self.pending -= 1
        return not self.pending

    def leave_engine(self, host: str, callback: str) -> None:
        """Record host and callback of the request."""
        self.host, self.callback = host, callback

    def keep_request(self, request: Request) -> None:
        """Keep the request, so that it can be repeated: an item that it was expected to bring may be missing."""
        self.request = request

    # -- what the page brings about ------------------------------------------------------------------------------

    def carry(self, positions: tuple[Any, ...], expectations: tuple[Expectation, ...] = ()) -> None:
        """Add positions and expected items of a request of this page."""
        self.positions += positions
        self.expectations += expectations

    def uncarry(self, positions: Sequence[Any]) -> None:
        """Remove positions from this page."""
        self.positions = tuple(position for position in self.positions if position not in positions)

    def add_retry(self, retry: ScheduledRetry) -> None:
        """Add an entry that waits from the beginning."""
        self.new_retries += (retry,)

    def announce(self, announced: Sequence[tuple[str, str, int | None]]) -> None:
        """Announce items: source, key and total of each."""
        if not isinstance(self.announcements, list):
            self.announcements = []
        self.announcements.extend(announced)

    def see_on_settle(self, fingerprint: int) -> None:
        """Add a fingerprint that is seen for good when the page settles."""
        if not isinstance(self.fingerprints_on_settle, set):
            self.fingerprints_on_settle = set()
        self.fingerprints_on_settle.add(fingerprint)

    def see_now(self, fingerprint: int) -> None:
        """Remove a fingerprint that would be seen when the page settles."""
        if isinstance(self.fingerprints_on_settle, set):
            self.fingerprints_on_settle.discard(fingerprint)

    def stand_for_start_item(self, fingerprint: int) -> None:
        """Make this the page of one item of ``start()``."""
        self.start_item_fingerprint = fingerprint

    def remember_children(self) -> None:
        """Record that the store remembers children of this page."""
        self.has_child_rows = True

    def begin_history(self, history: AttemptHistory) -> AttemptHistory:
        """Set the history of earlier attempts. Return the history."""
        self.history = history
        return history

    # -- items ---------------------------------------------------------------------------------------------------

    @property
    def items(self) -> PageItems:
        """The items of the page, to be read."""
        return self._items or NO_ITEMS

    def own_items(self) -> PageItems:
        """Return the items of the page, to be changed."""
        if self._items is None:
            self._items = PageItems()
        return self._items

    def take_back_items(self) -> None:
        """Forget all items that were yielded so far: the request will be tried again, or given up."""
        self._items = None

    def stage(self, sink: str, data: bytes, directory: Path) -> None:
        """Keep one record for *sink* until the page settles, unless an earlier attempt has delivered the record."""
        if self.history is not None and self.history.delivered:
            if self.was_delivered(sink, data):
                return
            self._has_other_records = True
        self.own_items().stage(sink, data, directory)

    def was_delivered(self, sink: str, identity: bytes) -> bool:
        """Whether an earlier attempt has delivered the record with *identity*. Each record counts once."""
        if self.history is None or not self.history.delivered:
            return False
        if self._undelivered is None:
            self._undelivered = Counter(self.history.delivered)
        fingerprint = _delivery(sink, identity)
        was_delivered = self._undelivered[fingerprint] > 0
        self._undelivered[fingerprint] -= was_delivered
        return was_delivered

    def note_keyless(self, url: str) -> None:
        """Note that an item without a key was exported, if earlier attempts have delivered items."""
        if self.history is not None and self.history.delivered:
            self.keyless = url

    @property
    def may_repeat_items(self) -> bool:
        """Whether this attempt has yielded other records without a key than earlier ones, in place of some of theirs.

        If a value of an item differs each time, such as the time, the item cannot be recognised.
        """
        if self.keyless is None or not self._has_other_records or self.history is None:
            return False
        left = Counter(self.history.delivered) if self._undelivered is None else self._undelivered
        return any(count for fingerprint, count in left.items() if fingerprint % 2)

    def add_delivered(self, sink: str, identities: Sequence[bytes]) -> None:
        """Remember records that are in a feed, in case the page is revived."""
        self.delivered += tuple(_delivery(sink, identity) for identity in identities)

    @property
    def may_lack_items(self) -> bool:
        """Whether an item that the request was expected to bring may be missing."""
        return not self.items.passed or not all(expectation.by_page for expectation in self.expectations)

    def enter(self) -> None:
        """Attribute the following outputs to this page, here and in every task begun from here."""
        _current.set(self)


def _delivery(sink: str, identity: bytes) -> int:
    """Return the fingerprint of a record that was delivered: odd for a record of a feed, even for an item's outcome."""
    return record_fingerprint(sink, identity) | 1 if sink != ITEMS else record_fingerprint(sink, identity) & ~1


def current_page() -> Page | None:
    """Return the page whose output is being produced here, if the page has not ended yet."""
    page = _current.get()
    return None if page is None or not page.pending else page


def current_request() -> Request | None:
    """Return the request in flight in whose context the caller runs, whatever ``response.request`` is."""
    return _request.get()


def enter_request(request: Request) -> None:
    """Attribute the following work to *request*, here and in every task begun from here."""
    _request.set(request)


@contextmanager
def inside(page: Page) -> Iterator[None]:
    """Attribute the outputs of the block to *page*."""
    token = _current.set(page)
    try:
        yield
    finally:
        _current.reset(token)


def leave_page() -> None:
    """Attribute the following outputs to no page and no request."""
    _current.set(None)
    _request.set(None)
