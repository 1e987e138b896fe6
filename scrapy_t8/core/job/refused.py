"""Requests that a handler of the signal ``request_scheduled`` ignores: the scheduler does not get them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pydispatch.dispatcher import getAllReceivers, liveReceivers  # type: ignore[import-untyped]
from scrapy import Request, signals
from scrapy.utils.asyncio import call_later

from scrapy_t8.config.causes import IGNORED
from scrapy_t8.core.frontier.endings import BESIDES
from scrapy_t8.core.page import Page, current_page
from scrapy_t8.core.retry.decisions import callback_of
from scrapy_t8.model.entry import Ending

from .ignored import is_offsite
from .job import Job


class RefusedRequests:
    """Records requests that the project's own handlers ignore. Scrapy's handler ignores offsite requests.

    :param handlers: the project's handlers of the signal.
    """

    @classmethod
    def watch(cls, job: Job) -> RefusedRequests | None:
        """Watch the signal, if the project has handlers of it."""
        connected = job.crawler.signals
        receivers = liveReceivers(getAllReceivers(connected.sender, signals.request_scheduled))
        handlers = [
            handler for handler in receivers if not str(getattr(handler, "__module__", "")).startswith("scrapy.")
        ]
        if not handlers:
            return None
        watch = cls(job, handlers)
        connected.connect(watch.scheduled, signals.request_scheduled)
        return watch

    def __init__(self, job: Job, handlers: Sequence[Callable[..., Any]]) -> None:
        self._job = job
        self._cause = f"{IGNORED}:{_path(handlers[0]) if len(handlers) == 1 else 'request_scheduled'}"
        self._under_way: dict[Request, Page | None] = {}

    def scheduled(self, request: Request) -> None:
        """Check, after all handlers have run, whether the scheduler has got *request*."""
        page = current_page()
        if page is None or not page.is_handing_over:  # otherwise the page that is replaced ends without a result
            self._under_way[request] = page
            call_later(0, self._look, request)

    def reached(self, request: Request) -> None:
        """Record that the scheduler has got *request*."""
        self._under_way.pop(request, None)

    def _look(self, request: Request) -> None:
        if request not in self._under_way:
            return
        page = self._under_way.pop(request)
        if is_offsite(self._job.crawler, request):
            return
        ending = Ending(self._cause, request.url, callback_of(request), "by a handler of request_scheduled")
        if page is None or page.is_settled:
            self._job.frontier.endings.add(ending, BESIDES)
            self._job.changed()
        else:
            page.doubt(ending)


def _path(handler: Callable[..., Any]) -> str:
    owner = getattr(handler, "__self__", None)
    named: Any = handler if owner is None else type(owner)
    return f"{named.__module__}.{named.__qualname__}" if hasattr(named, "__qualname__") else repr(named)
