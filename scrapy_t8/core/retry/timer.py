"""The entries between two attempts, and their way back into the crawl when they are due.

Waiting entries are in the store. Here are one timer, and the requests that run from memory, which no store has.
"""

from __future__ import annotations

import heapq
from itertools import count

from scrapy import Request
from scrapy.utils.asyncio import CallLaterResult, call_later

from scrapy_t8.core import scrapy_private
from scrapy_t8.core.frontier.frontier import Frontier
from scrapy_t8.core.page import Page, leave_page
from scrapy_t8.core.resume_points import marks_of
from scrapy_t8.core.run import CommitParticipant, RunContext, RunControl
from scrapy_t8.errors import CannotLoad
from scrapy_t8.model.attempts import ScheduledRetry
from scrapy_t8.model.dead_letter import DeadLetter

from .handlers import Handlers

AT_A_TIME = 100
"""Entries that are reactivated before the event loop gets its turn."""
SOON = 0.02
"""Seconds until the timer tries again what a long commit has held up."""
LONGEST = 3600.0
"""Seconds that the timer runs at the most: clocks are set, machines sleep."""


class RetryTimer(CommitParticipant):
    """Reactivates entries that are due.

    :param handlers: retry entries of their task types in place of the crawl.
    """

    def __init__(self, context: RunContext, control: RunControl, frontier: Frontier, *, handlers: Handlers) -> None:
        self._crawler = context.crawler
        self._clock = context.clock
        self._control = control
        self._frontier = frontier
        self._handlers = handlers
        self._guard = control.guard("wake a request")
        self._timer: CallLaterResult | None = None
        self._timer_due = 0.0
        self._in_memory: list[tuple[float, int, Request, Page]] = []
        self._numbers = count()
        self._is_closed = False

    def __len__(self) -> int:
        """Return how many requests wait."""
        return len(self._frontier.waiting) + len(self._in_memory)

    def settle(self, page: Page) -> None:
        """Be awake when the entry of *page*, or an entry that the page brings about, is due."""
        if page.retry is not None:
            self.wake_at(page.retry.due)
        else:
            for retry in page.new_retries:
                self.wake_at(retry.due)

    def hold_in_memory(self, due: float, request: Request, page: Page) -> None:
        """Keep a request that runs from memory as a part of *page*, which does not settle before."""
        page.hold()
        heapq.heappush(self._in_memory, (due, next(self._numbers), request, page))
        self.wake_at(due)

    def next_due(self) -> float | None:
        """Return when the next request is due, in Unix seconds; None if no request waits."""
        self._control.flush()
        due = self._frontier.store.next_due(after=self._clock() if self._handlers.busy else 0.0)
        in_memory = self._in_memory[0][0] if self._in_memory else None
        return min((when for when in (due, in_memory) if when is not None), default=None)

    def wake_at(self, due: float | None) -> None:
        """Be awake at *due*, in Unix seconds. None: nothing is due."""
        if due is None or self._is_closed or (self._timer is not None and self._timer_due <= due):
            return
        self._cancel()
        self._timer_due = due
        self._timer = call_later(min(max(0.0, due - self._clock()), LONGEST), self._wake)

    def close(self) -> None:
        """Reactivate nothing any more, whatever still settles."""
        self._is_closed = True
        self._cancel()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wake(self) -> None:
        self._timer = None
        with self._guard:
            self._reactivate_due()

    def _reactivate_due(self) -> None:
        now = self._clock()
        while self._in_memory and self._in_memory[0][0] <= now:
            _, _, request, page = heapq.heappop(self._in_memory)
            self._frontier.parts.add(request)
            self._crawl(request, page)
        # What is due has to be in the store, and what was taken before must not be there any more.
        if not self._control.commit():
            self.wake_at(now + SOON)
            return
        found = self._frontier.store.due(now, AT_A_TIME + len(self._handlers.busy))
        for waiting in found:
            if waiting.id not in self._handlers.busy:
                self._reactivate(waiting)
        has_more = len(found) >= AT_A_TIME + len(self._handlers.busy)
        self.wake_at(now if has_more else self._frontier.store.next_due(after=now))
        self.wake_at(self._in_memory[0][0] if self._in_memory else None)
        scrapy_private.schedule_next_call(self._crawler)

    def _reactivate(self, waiting: ScheduledRetry) -> None:
        page = self._frontier.replaceable(waiting.id, waiting.story, was_waiting=True)
        try:
            request = self._frontier.codec.decode_request(waiting.payload)
        except CannotLoad as error:
            number, payload, host, story = waiting.id, waiting.payload, waiting.slot, waiting.story
            page.bury(DeadLetter(number, payload, error.kind, str(error), self._clock(), host=host, story=story))
            self._control.end(page)
            return
        page.carry(marks_of(request), self._frontier.expectations.of(request))
        if self._handlers.handles(request, page):
            page.go_on()
            self._handlers.run(request, page)
        else:
            self._crawl(request, page)

    def _crawl(self, request: Request, page: Page) -> None:
        assert self._crawler.engine is not None
        page.enter()
        self._crawler.engine.crawl(request)
        leave_page()
        self._control.end(page)
