"""When a page is settled: what the engine shows of each request in flight, passed on to the page.

A page has settled when the engine is through with its request *and* with every request of it that runs from memory.
"""

from __future__ import annotations

from scrapy import Request
from scrapy.exceptions import IgnoreRequest
from twisted.python.failure import Failure

from scrapy_t8.core import scrapy_private
from scrapy_t8.core.frontier.frontier import Frontier
from scrapy_t8.core.page import Page, enter_request, leave_page
from scrapy_t8.core.resume_points import marks_of
from scrapy_t8.core.retry.decisions import callback_of
from scrapy_t8.core.retry.failure import of_download
from scrapy_t8.core.retry.system import RetrySystem
from scrapy_t8.core.run import RunContext, RunControl


class EngineWatch:
    """Lets pages of a T8 frontier end when the engine lets their requests go."""

    def __init__(self, context: RunContext, control: RunControl, frontier: Frontier, *, retries: RetrySystem) -> None:
        self._control = control
        self._frontier = frontier
        self._retries = retries
        self._guard = control.guard("decide on a failed request")
        scrapy_private.watch(context.crawler, self.arrived, self.left)

    def arrived(self, request: Request, result: object) -> None:
        """Take the result of a download: a response, a failure, or a request that takes the request's place."""
        page = self._frontier.in_flight.get(request)
        if page is None:
            leave_page()
            return
        page.enter()
        enter_request(request)
        if isinstance(result, Failure):
            self._failed(request, page, result.value)
        elif isinstance(result, Request) and request not in self._frontier.in_memory:
            page.hand_over()

    def _failed(self, request: Request, page: Page, error: BaseException | None) -> None:
        if error is not None and not isinstance(error, IgnoreRequest):
            self._retries.record_first_failure(request, of_download(error, final=True))
        elif request not in self._frontier.in_memory:
            page.discard()

    def left(self, request: Request) -> None:
        """Take note that the engine is through with *request*, its callback, its items and its requests."""
        leave_page()
        page, in_memory = self._frontier.in_flight.get(request), request in self._frontier.in_memory
        if page is None:
            return
        if page.is_handing_over and not in_memory:
            page.discard()
        with self._guard:
            self._retries.request_left_engine(request, page, in_memory=in_memory)
        if not in_memory:
            page.leave_engine(self._retries.decisions.slot(request), callback_of(request))
        if page.expectations and page.may_lack_items:
            page.keep_request(request)
        self._frontier.leave(request)
        self._control.end(page)


class ResumePointWatch:
    """Moves resume points under a scheduler that is not T8's: when the engine lets their requests go."""

    def __init__(self, context: RunContext, control: RunControl, frontier: Frontier) -> None:
        self._control = control
        self._frontier = frontier
        scrapy_private.watch(context.crawler, self.arrived, self.left)

    def arrived(self, request: Request, result: object) -> None:
        """Begin a page for *request*."""
        page = self._frontier.new_page(None)
        page.carry(marks_of(request))
        if isinstance(result, Request):
            page.replace()
        page.enter()
        self._frontier.in_flight[request] = page

    def left(self, request: Request) -> None:
        """End the page of *request*."""
        leave_page()
        page = self._frontier.leave(request)
        if page is not None:
            self._control.end(page)
