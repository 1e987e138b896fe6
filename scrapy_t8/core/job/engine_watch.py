"""Watches the engine: passes the result and the end of each request in flight on to its page.

A page has ended when the engine has removed its request *and* every request of the page that runs from memory.
"""

from __future__ import annotations

from contextlib import suppress

from scrapy import Request
from scrapy.downloadermiddlewares.retry import RetryMiddleware
from scrapy.exceptions import IgnoreRequest
from scrapy.http import Response
from scrapy.spidermiddlewares.httperror import HttpError, HttpErrorMiddleware
from twisted.python.failure import Failure as TwistedFailure

from scrapy_t8.config.causes import IGNORED, ITEM, OFFSITE, REPLACED, UNKNOWN
from scrapy_t8.core import scrapy_private
from scrapy_t8.core.frontier.endings import BESIDES
from scrapy_t8.core.frontier.frontier import Frontier
from scrapy_t8.core.frontier.set_aside import MOST, is_same_work, takes_over
from scrapy_t8.core.items.tracker import ItemTracker, end_cancelled_items, pipeline_of_traceback
from scrapy_t8.core.page import Page, enter_request, leave_page
from scrapy_t8.core.resume_points import marks_of
from scrapy_t8.core.retry.decisions import callback_of
from scrapy_t8.core.retry.failure import (
    DOWNLOAD,
    PARSE,
    PIPELINE,
    Failure,
    of_code,
    of_download,
    of_response,
    unpacked,
)
from scrapy_t8.core.retry.system import RetrySystem
from scrapy_t8.core.run import RunContext, RunControl
from scrapy_t8.model.attempts import DUE
from scrapy_t8.model.entry import Ending, Outcome
from scrapy_t8.utils.log.loggers import get_logger
from scrapy_t8.utils.text import one_line

from .ignored import ending_of_ignored, is_of_process_response, is_offsite

logger = get_logger(__name__)


class EngineWatch:
    """Ends pages of a T8 frontier when the engine removes their requests."""

    def __init__(
        self, context: RunContext, control: RunControl, frontier: Frontier, *, retries: RetrySystem, items: ItemTracker
    ) -> None:
        self._control = control
        self._frontier = frontier
        self._retries = retries
        self._items = items
        self._crawler = context.crawler
        self._clock = context.clock
        self._body_sample = context.config.body_sample
        self._guard = control.guard("decide on a failed request")
        self._replaced: dict[Request, Request] = {}
        """Requests in flight for which another request came back, and that one."""
        self._ignored: dict[Request, Ending] = {}
        """Requests in flight that were ignored."""
        self._foreign: set[type] = set()
        """Classes of errors that no retry is named for, and for which the log has the remedy."""
        scrapy_private.watch(context.crawler, self.arrived, self.left)
        scrapy_private.end_on_base_exception(context.crawler, self.broken_off)
        scrapy_private.call_before_errback(context.crawler, self.callback_is_skipped)
        scrapy_private.call_if_pipelines_do_not_close(context.crawler, self.pipeline_is_not_closed)
        end_cancelled_items(context.crawler)

    def arrived(self, request: Request, result: object) -> Request | None:
        """Take the result of a download: a response, a failure, or a request that replaces this request.

        :returns: the retry of a request whose response a middleware has failed to process; None for any other request.
        """
        sharing = self._frontier.sharing
        if sharing:
            sharing.begin(request)
        page = self._frontier.in_flight.get(request)
        if page is None:
            leave_page()
            return None
        page.enter()
        enter_request(request)
        if request in self._frontier.in_memory:
            self._retries.part_begins(request, page)
        again = None
        if isinstance(result, TwistedFailure):
            error = None if result.value is None else unpacked(result.value)
            again = self._next_attempt(request, result.value, error)
            if again is None:
                self._failed(request, page, error)
        other = result if again is None else again
        if isinstance(other, Request):
            self._replaced[request] = other
            self._take_over(request, page, other)
        elif isinstance(result, Response) and not 200 <= result.status < 300:
            self._check_status(request, result)
        return again

    def _next_attempt(
        self, request: Request, raised: BaseException | None, error: BaseException | None
    ) -> Request | None:
        """Return the retry of *request*, if a middleware has raised an error in process_response that is retried.

        :param error: what *raised* says of the download.
        """
        retrying = self._crawler.get_downloader_middleware(RetryMiddleware)
        if retrying is None or raised is None or not isinstance(error, Exception):
            return None
        if self._retries.has_failed(request) or not is_of_process_response(raised):
            return None
        with suppress(Exception):  # of a subclass of the project
            again = retrying.process_exception(request, error)
            return again if isinstance(again, Request) else None
        return None

    def _take_over(self, request: Request, page: Page, other: Request) -> None:
        """Let *other*, which a middleware has sent instead of *request*, replace it, or be a part of its page."""
        if request in self._frontier.in_memory:
            if DUE not in other.meta:
                self._frontier.parts.add(other)
        elif takes_over(other, request):
            page.hand_over()
        else:
            self._frontier.parts.add(other)
            page.swap(request)

    def _failed(self, request: Request, page: Page, error: BaseException | None) -> None:
        if error is not None and not isinstance(error, IgnoreRequest):
            failure = of_download(error, final=True)
            if failure.kind == DOWNLOAD and not self._retries.has_failed(request):
                self._name_remedy(error)
            self._retries.record_first_failure(request, failure)
            return
        ending = ending_of_ignored(request, error or IgnoreRequest())
        self._ignored[request] = ending
        if request not in self._frontier.in_memory:
            page.discard(ending)

    def _name_remedy(self, error: BaseException) -> None:
        """Say once of each class of errors how to have it retried. An error of Python itself is likely to be a bug."""
        cls = type(error)
        if cls.__module__ == "builtins" or cls in self._foreign:
            return
        self._foreign.add(cls)
        name = f"{cls.__module__}.{cls.__qualname__}"
        logger.warning(
            "Pages that fail with %s are not retried. If a retry can help: RETRY_EXCEPTIONS = [*RETRY_EXCEPTIONS, %r], "
            "in settings.py, with RETRY_EXCEPTIONS from scrapy.settings.default_settings",
            name,
            name,
        )

    def _check_status(self, request: Request, response: Response) -> None:
        """Record a failure if no callback handles the status of *response*, and none if a callback does.

        If the request has an errback, no other component sees the failure.
        """
        filtering = self._crawler.get_spider_middleware(HttpErrorMiddleware)
        try:
            if filtering is not None:
                filtering.process_spider_input(response)
        except HttpError:
            failure = of_response(response, self._clock(), body_sample=self._body_sample, final=True)
            self._retries.record_first_failure(request, failure)
        except Exception:
            return  # of a subclass of the project, which Scrapy calls again and then gets the error
        else:
            self._retries.status_is_taken(request, response.status)

    def callback_is_skipped(self, request: Request, error: object) -> None:
        """Record that *request* has failed before its callback, unless that is recorded. An errback proves nothing."""
        if isinstance(error, Exception) and not isinstance(error, (IgnoreRequest, HttpError)):
            self._retries.record_first_failure(request, of_code(PARSE, error, None, body_sample=self._body_sample))

    def pipeline_is_not_closed(self, error: Exception) -> None:
        """Record that ``close_spider`` of a pipeline has raised *error*: what the pipeline holds may be lost."""
        cause = f"{ITEM}:{pipeline_of_traceback(error.__traceback__, 'close_spider') or UNKNOWN}"
        note = f"close_spider has raised {one_line(repr(error))}"
        self._frontier.endings.add(Ending(cause, callback="close_spider", note=note), BESIDES)
        self._control.changed()

    def broken_off(self, request: Request, error: BaseException) -> None:
        """Record that a callback or errback of *request* has ended with a BaseException that is not an Exception."""
        message = "The callback or errback of %s has ended with %s"
        logger.error(message, request, one_line(repr(error)), exc_info=error)
        self._retries.record_failure(request, of_code(PARSE, error, None, body_sample=self._body_sample))

    def left(self, request: Request) -> None:
        """Record that the engine has removed *request*: callback, items and requests have ended."""
        leave_page()
        page, in_memory = self._frontier.in_flight.get(request), request in self._frontier.in_memory
        if page is None:
            return
        other, ignored = self._replaced.pop(request, None), self._ignored.pop(request, None)
        if page.is_handing_over and not in_memory:
            page.discard(self._not_taken(request, other or request))
        elif page.items.entered > page.items.left and page.pending == 1 + self._frontier.replay.holds_back(page):
            self._lose_items(request, page)
        with self._guard:
            has_failed = self._retries.request_left_engine(request, page, in_memory=in_memory)
        if not in_memory:
            hosts = self._retries.decisions.hosts
            slot = hosts.slot(request)
            page.leave_engine(slot, callback_of(request))
            if page.outcome is Outcome.PENDING and not has_failed and other is None:
                hosts.remember(slot, request)
        if page.expectations and page.may_lack_items:
            page.keep_request(request)
        self._frontier.leave(request)
        is_usual = has_failed or (other is None and ignored is None)
        missing = None if is_usual else self._missing(request, page, other, ignored)
        if missing is not None:
            self._set_aside(request, page, missing, in_memory=in_memory)
        elif in_memory and not has_failed and other is None:
            page.end_in_memory(ignored)
            page.swap(None)
        sharing = self._frontier.sharing
        if sharing:
            sharing.end(request)
        self._frontier.replay.output_ended(page)
        if missing is None or in_memory:
            self._control.end(page)

    def _missing(self, request: Request, page: Page, other: Request | None, ignored: Ending | None) -> Ending | None:
        """Return the ending of *request* if it has no result yet and a middleware may send it again; else None."""
        if other is not None and other in self._frontier.parts:
            self._frontier.parts.discard(other)
            return self._not_taken(request, other)
        if other is not None and not is_same_work(other, request):
            return Ending(REPLACED, request.url, callback_of(request), one_line(other))
        if ignored is not None and ignored.cause.startswith(f"{IGNORED}:") and not page.items.entered:
            return ignored
        return None

    def _set_aside(self, request: Request, page: Page, missing: Ending, *, in_memory: bool) -> None:
        if in_memory:
            page.hold()
        elif page.entry is not None:
            self._frontier.store.unmark_in_flight(page.entry, is_stored=True)
        self._frontier.set_aside.add(request, page, missing, in_memory=in_memory)
        for ended in self._frontier.set_aside.give_up(MOST):
            self._control.end(ended)

    def _lose_items(self, request: Request, page: Page) -> None:
        """Record items that have entered the pipelines and will never leave them, as after a CancelledError."""
        if self._control.error is not None:
            return  # the pipelines have ended with the run
        lost = self._items.end_unfinished(page, request.url)
        error = f"{lost} items did not leave the pipelines, which an exception such as CancelledError has ended"
        self._retries.record_first_failure(request, Failure(PIPELINE, error))

    def _not_taken(self, request: Request, other: Request) -> Ending:
        """Return the ending of a *request* for which an *other* one came back that no queue has taken."""
        cause = REPLACED
        with suppress(Exception):  # of a subclass of the project
            cause = OFFSITE if is_offsite(self._crawler, other) else REPLACED
        return Ending(cause, request.url, callback_of(request), one_line(other))


class ResumePointWatch:
    """Moves resume points under a scheduler that is not T8's: when the engine removes their requests."""

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
        enter_request(request)
        self._frontier.in_flight[request] = page

    def left(self, request: Request) -> None:
        """End the page of *request*."""
        leave_page()
        page = self._frontier.leave(request)
        if page is not None:
            self._control.end(page)
