"""The entries between two attempts, and their way back into the crawl when they are due.

They wait in the store. Here is one timer, and the requests that run from memory and have no place in a store.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

from scrapy import Request
from scrapy.utils.asyncio import CallLaterResult, call_later

from scrapy_t8.core.fail_fast import StopOnError
from scrapy_t8.core.frontier.frontier import Frontier
from scrapy_t8.core.page import Page, leave_page
from scrapy_t8.core.resume_points import marks_of
from scrapy_t8.errors import CannotLoad
from scrapy_t8.model.attempts import ScheduledRetry
from scrapy_t8.model.dead_letter import DeadLetter

from .handlers import Handlers

AT_A_TIME = 100
"""Entries that are woken before the event loop gets its turn."""
SOON = 0.02
"""Seconds until it is tried again what a long commit does not let through."""
LONGEST = 3600.0
"""Seconds that the timer runs: clocks are set, machines sleep."""


class RetryTimer:
    """Wakes what is due.

    :param crawl: gives a request to the engine.
    :param end: tells the job that a page has ended.
    :param flush: commits what has settled.
    :param commit: the same, unless that would take long; says whether nothing is left to commit.
    :param nudge: has the engine ask for requests.
    :param guard: in which entries are woken.
    :param handlers: what does a retry in place of the crawl, by task type.
    """

    def __init__(
        self,
        frontier: Frontier,
        handlers: Handlers,
        crawl: Callable[[Request], None],
        end: Callable[[Page], None],
        flush: Callable[[], None],
        commit: Callable[[], bool],
        nudge: Callable[[], None],
        guard: StopOnError,
        clock: Callable[[], float],
    ) -> None:
        self._frontier = frontier
        self._handlers = handlers
        self._crawl = crawl
        self._end = end
        self._flush = flush
        self._commit = commit
        self._nudge = nudge
        self._guard = guard
        self._clock = clock
        self._timer: CallLaterResult | None = None
        self._timer_due = 0.0
        self._live: list[tuple[float, int, Request, Page]] = []
        self._numbers = count()
        self._is_closed = False

    def __len__(self) -> int:
        return self._frontier.waiting + len(self._live)

    def hold(self, due: float, request: Request, page: Page) -> None:
        """Keep a request that runs from memory as a part of *page*, which does not settle before."""
        page.pending += 1
        heapq.heappush(self._live, (due, next(self._numbers), request, page))
        self.expect(due)

    def next_due(self) -> float | None:
        """When the next one is due, in Unix seconds; None if none waits."""
        self._flush()
        due = self._frontier.store.next_due(after=self._clock() if self._handlers.busy else 0.0)
        live = self._live[0][0] if self._live else None
        return min((when for when in (due, live) if when is not None), default=None)

    def expect(self, due: float | None) -> None:
        """Something is due at *due*: be awake then."""
        if due is None or self._is_closed or (self._timer is not None and self._timer_due <= due):
            return
        self._cancel()
        self._timer_due = due
        self._timer = call_later(min(max(0.0, due - self._clock()), LONGEST), self._wake)

    def close(self) -> None:
        """Wake nothing any more, whatever still settles."""
        self._is_closed = True
        self._cancel()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wake(self) -> None:
        self._timer = None
        with self._guard:
            self._wake_all()

    def _wake_all(self) -> None:
        now = self._clock()
        while self._live and self._live[0][0] <= now:
            _, _, request, page = heapq.heappop(self._live)
            self._back(request, page)
        # What is due has to be in the store, and what was taken before must not be there any more.
        if not self._commit():
            self.expect(now + SOON)
            return
        found = self._frontier.store.due(now, AT_A_TIME + len(self._handlers.busy))
        for waiting in found:
            if waiting.id not in self._handlers.busy:
                self._take(waiting)
        more = len(found) >= AT_A_TIME + len(self._handlers.busy)
        self.expect(now if more else self._frontier.store.next_due(after=now))
        self.expect(self._live[0][0] if self._live else None)
        self._nudge()

    def _take(self, waiting: ScheduledRetry) -> None:
        page = self._frontier.wake(waiting)
        try:
            request = self._frontier.codec.decode_request(waiting.payload)
        except CannotLoad as error:
            page.verdict = DeadLetter(
                waiting.id,
                waiting.payload,
                error.kind,
                str(error),
                self._clock(),
                host=waiting.slot,
                story=waiting.story,
            )
            self._end(page)
            return
        page.marks = marks_of(request)
        page.expects = self._frontier.expectations.of(request)
        if self._handlers.handles(request, page):
            self._handlers.run(request, page)
        else:
            self._back(request, page)

    def _back(self, request: Request, page: Page) -> None:
        page.enter()
        self._crawl(request)
        leave_page()
        self._end(page)
