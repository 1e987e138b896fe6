"""When is a page settled: what the engine shows of each request in flight, told to the job.

A page has settled when the engine is through with its request *and* with every request of it that runs from memory.
"""

from __future__ import annotations

from scrapy import Request
from scrapy.exceptions import IgnoreRequest
from twisted.python.failure import Failure

from scrapy_t8.core import scrapy_private
from scrapy_t8.core.page import leave_page
from scrapy_t8.core.resume_points import marks_of
from scrapy_t8.core.retry.failure import of_download

from .job import Job


def _failed(job: Job, request: Request, error: BaseException | None) -> bool:
    """A download has ended without an answer. Returns whether it was meant to."""
    if error is None or isinstance(error, IgnoreRequest):
        return True
    if not job.retries.is_noted(request):
        job.retries.note(request, of_download(error, final=True))
    return False


def callback_of(request: Request) -> str:
    """The name of the spider's method that *request* is for."""
    return getattr(request.callback, "__name__", None) or "parse"


def watch_points(job: Job) -> None:
    """Under a scheduler that is not T8's, only resume points move: when the engine lets their requests go."""
    flying = job.frontier.flying

    def arrived(request: Request, result: object) -> None:
        marks = marks_of(request)
        page = job.frontier.new_page(None)
        page.marks = marks
        page.replaced = isinstance(result, Request)
        page.enter()
        flying[request] = page

    def left(request: Request) -> None:
        leave_page()
        page = flying.pop(request, None)
        if page is not None:
            job.end(page)

    scrapy_private.watch(job.crawler, arrived, left)


def watch(job: Job) -> None:
    """From now on, pages of *job* end when the engine lets their requests go."""
    flying, live = job.frontier.flying, job.frontier.live

    def arrived(request: Request, result: object) -> None:
        page = flying.get(request)
        if page is None:
            leave_page()
            return
        page.enter()
        if isinstance(result, Failure):
            is_dropped = _failed(job, request, result.value)
        else:
            is_dropped = page.replacing = isinstance(result, Request) and request not in live
        if is_dropped and request not in live:
            page.dropped = True

    def left(request: Request) -> None:
        leave_page()
        page = flying.get(request)
        if page is None:
            return
        page.replacing = False
        with deciding:
            job.retries.conclude(request, page, live=request in live)
        if request not in live:
            page.host, page.callback = job.retries.slot(request), callback_of(request)
        if page.expects and page.may_lack:
            page.request = request
        live.discard(request)
        del flying[request]
        job.end(page)

    deciding = job.guard("decide on a failed request")

    scrapy_private.watch(job.crawler, arrived, left)
