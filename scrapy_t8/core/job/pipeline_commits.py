"""Pages wait until the item pipelines that have ``t8_commit()`` have made their items durable."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from contextvars import Context
from dataclasses import replace
from typing import Any

from scrapy import Request
from scrapy.exceptions import CloseSpider, DontCloseSpider
from scrapy.utils.asyncio import CallLaterResult, call_later
from scrapy.utils.defer import ensure_awaitable

from scrapy_t8.config.causes import ITEM
from scrapy_t8.core import scrapy_private
from scrapy_t8.core.frontier.frontier import Frontier
from scrapy_t8.core.page import Page
from scrapy_t8.core.retry.failure import OUTAGE, PIPELINE, Failure, of_code
from scrapy_t8.core.retry.idle import REASON
from scrapy_t8.core.retry.pipeline_outages import DOWN
from scrapy_t8.core.retry.system import RetrySystem
from scrapy_t8.core.run import RunContext
from scrapy_t8.errors import CannotLoad
from scrapy_t8.model.entry import Ending, Outcome
from scrapy_t8.utils.classes import path_of
from scrapy_t8.utils.log.loggers import get_logger
from scrapy_t8.utils.text import counted, one_line
from scrapy_t8.utils.threads import is_of_code

from .commit_loop import HOOK, CommitLoop

logger = get_logger(__name__)

MOST = 1000
"""Pages that wait before no further request is sent."""
LAST_CALL = 1.0
"""Seconds that a last call of the hooks has, where a stop has used up T8_STOP_GRACE."""


class PipelineCommits:
    """Calls the hooks, and passes pages on to the commit loop.

    A page waits for calls that have begun after its last item left the pipelines. There is one call at a time. If a
    call fails, the pages that waited for it fail; if it fails because of an outage, they wait for the next call.

    :param pipelines: those that have the hook.
    :param hold: called with whether requests are to be held back.
    """

    def __init__(
        self,
        context: RunContext,
        commits: CommitLoop,
        frontier: Frontier,
        *,
        retries: RetrySystem,
        pipelines: Sequence[Any],
        hold: Callable[[bool], object],
    ) -> None:
        self._crawler = context.crawler
        self._config = context.config
        self._clock = context.clock
        self._commits = commits
        self._frontier = frontier
        self._retries = retries
        self._pipelines = pipelines
        self._hold = hold
        self._guard = commits.guard("commit item pipelines")
        self._waiting: list[Page] = []
        self._in_call: list[Page] = []
        """The pages that wait for the call that goes on."""
        self._call: asyncio.Task[None] | None = None
        self._timer: CallLaterResult | None = None
        self._down_since: float | None = None
        self._outages = 0
        """How many calls in a row have failed because of an outage."""
        self._is_closing = self._is_over = False
        self._stop = asyncio.Event()
        self._stop_timer: CallLaterResult | None = None
        commits.hold_with(self)
        scrapy_private.call_around_close(context.crawler, self._closing)
        scrapy_private.call_before_pipelines_close(context.crawler, self._finish)

    # -- pages ---------------------------------------------------------------------------------------------------

    def holds(self, page: Page) -> bool:
        if not page.items.left:
            return False
        self._waiting.append(page)
        if self._call is None and self._timer is None and not self._is_closing:
            self._timer = call_later(self._config.commit_interval, self._begin)
        if len(self._waiting) == MOST:
            self._hold_requests()
        return True

    def idle(self) -> None:
        """Begin a call at once, if a page waits for one.

        :raises DontCloseSpider: while a page waits.
        :raises CloseSpider: if an outage has lasted longer than T8_RETRY_WAIT. The pages come again in the next run.
        """
        if not self._waiting and self._call is None:
            return
        if self._down_since is None:
            self._begin()
        elif self._clock() > self._down_since + self._config.retry_wait:
            raise CloseSpider(REASON)
        raise DontCloseSpider

    # -- calls ---------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._cancel_timer()
        if self._waiting and self._call is None and not self._is_closing:
            self._call = _task(self._run())

    async def _run(self) -> None:
        pages, self._waiting = self._waiting, []
        self._in_call = pages
        failed = await self._call_all()
        if self._is_over:
            return
        self._call, self._in_call = None, []
        with self._guard:
            if failed is None:
                self._committed(pages)
            elif failed[1].kind == OUTAGE:
                self._wait_out(pages, *failed)
            else:
                self._fail(pages, *failed)
            self._hold_requests()
            if self._waiting and self._timer is None and not self._is_closing:
                self._timer = call_later(self._config.commit_interval, self._begin)
        scrapy_private.schedule_next_call(self._crawler)

    async def _call_all(self) -> tuple[str, Failure] | None:
        """Call all hooks. Return the path of the first that fails, and its failure; None if none fails."""
        for pipeline in self._pipelines:
            try:
                await ensure_awaitable(getattr(pipeline, HOOK)())
            except BaseException as error:
                if not isinstance(error, Exception) and not is_of_code(error):
                    raise
                path = f"{path_of(type(pipeline))}.{HOOK}"
                kind = OUTAGE if error in self._retries.outages else PIPELINE
                failure = of_code(kind, error, None, body_sample=0)
                if kind == PIPELINE:
                    logger.error("%s has raised %s", path, one_line(repr(error)), exc_info=error)
                return path, replace(failure, error=f"{path}: {failure.error}", keeps_items=False)
        return None

    def _committed(self, pages: list[Page]) -> None:
        if self._down_since is not None:
            logger.info("The item pipelines can commit again, resuming requests")
        self._down_since, self._outages = None, 0
        for page in pages:
            self._commits.ended(page)

    def _wait_out(self, pages: list[Page], path: str, failure: Failure) -> None:
        """Keep *pages* for the next call, after a delay that grows."""
        self._waiting[:0] = pages
        self._outages += 1
        now = self._clock()
        if self._down_since is None:
            self._down_since = now
            waiting = counted(len(pages), "page waits", "pages wait")
            logger.warning("%s. No request is sent until it succeeds; %s", failure.error, waiting)
        if now > self._down_since + self._config.breaker_give_up:
            logger.error("%s. Run the same command again when the service is up: nothing is lost", failure.error)
            scrapy_private.close_spider(self._crawler, DOWN)
        elif not self._is_closing:
            rule = self._retries.decisions.policy.rule(OUTAGE, {})
            delay = min(rule.delay(self._outages, random.random()), self._config.breaker_probe_cap)
            self._timer = call_later(delay, self._begin)

    def _fail(self, pages: list[Page], path: str, failure: Failure) -> None:
        """Let *pages* fail: no one can say which of their items are durable."""
        self._down_since, self._outages = None, 0
        for page in pages:
            request = self._request_of(page)
            if page.outcome is Outcome.PENDING and request is not None:
                page.hold()
                self._retries.handler_ended(request, page, failure)
                continue
            if page.outcome is Outcome.DEAD:
                page.take_back_items()
            else:
                page.doubt(Ending(f"{ITEM}:{path.split('.')[-2]}", note=failure.error))
            self._commits.ended(page)

    def _request_of(self, page: Page) -> Request | None:
        """Return the request of *page*; None if the page has none."""
        frontier, entry = self._frontier, page.entry
        payload = None if entry is None else frontier.added.get(entry) or frontier.store.payload(entry)
        with suppress(CannotLoad):
            return None if payload is None else frontier.codec.decode_request(payload)
        return None

    def _hold_requests(self) -> None:
        self._hold(self._down_since is not None or len(self._waiting) + len(self._in_call) >= MOST)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- the end -------------------------------------------------------------------------------------------------

    def _closing(self, reason: str) -> None:
        if reason == scrapy_private.SHUTDOWN and self._config.stop_grace and self._stop_timer is None:
            self._stop_timer = call_later(self._config.stop_grace + LAST_CALL, self._stop.set)

    async def _finish(self) -> None:
        """Call the hooks for the last pages. After a signal, give up in time: the pages come again then."""
        self._is_closing = True
        self._cancel_timer()
        if self._call is None and not self._waiting:
            return
        tasks = [_task(self._last_calls()), _task(self._wait_for_stop())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        self._is_over = True
        if self._stop_timer is not None:
            self._stop_timer.cancel()
        left = len(self._waiting) + len(self._in_call)
        if left:
            pages = counted(left, "page comes", "pages come")
            logger.warning("%s again in the next run: the item pipelines have not committed", pages)
        for task in (*tasks, self._call):
            if task is not None:
                task.cancel()

    async def _last_calls(self) -> None:
        if self._call is not None:
            await asyncio.wait([self._call])
        # A page that was passed on may have been the last part of another page, which waits then.
        while self._waiting and self._down_since is None:
            await self._run()

    async def _wait_for_stop(self) -> None:
        await self._stop.wait()


def _task(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Return a task for *work*, whose outputs belong to no page."""
    return Context().run(asyncio.get_running_loop().create_task, work)
