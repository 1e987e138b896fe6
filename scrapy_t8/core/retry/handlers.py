"""Retries by handlers of the user, by task type, instead of by crawling."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from scrapy import Request

from scrapy_t8.core.page import Page, inside
from scrapy_t8.utils.handler_call import Handler, HandlerCall, NoThread
from scrapy_t8.utils.log.loggers import get_logger

from .failure import HANDLED, NETWORK, Failure

logger = get_logger(__name__)

PAUSE = 5.0
"""Seconds until a handler is called again for which the machine had no thread."""


class Handlers:
    """Calls a handler with ``(target, metadata)`` when an entry of its task type is due. True settles the entry.

    False, an exception, or no answer within *limit* seconds is a failed attempt. A coroutine function runs on the event
    loop, any other function in a thread of its own. A handler that never returns keeps its thread, and nothing else.

    :param ended: takes the result of a handler that has tried a page: its failure, or None.
    """

    def __init__(
        self, handlers: Mapping[str, Handler], limit: float, ended: Callable[[Request, Page, Failure | None], None]
    ) -> None:
        self._handlers = dict(handlers)
        self._limit = limit
        self._ended = ended
        self._tasks: set[asyncio.Task[None]] = set()
        self.busy: set[int] = set()
        """Entries that a handler works on."""

    def handles(self, request: Request, page: Page) -> bool:
        """Whether a handler does the retries of *request*."""
        return _key(request, page) in self._handlers

    def register(self, task_type: str, handler: Handler) -> None:
        """Use *handler* for the retries of *task_type* from now on."""
        self._handlers[task_type] = handler

    def run(self, request: Request, page: Page) -> None:
        """Let the handler try *page*, whose entry is due."""
        assert page.entry is not None
        self.busy.add(page.entry)
        task = asyncio.get_running_loop().create_task(self._run(request, page))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Cancel all handlers: what is not settled is due again in the next run."""
        for task in self._tasks:
            task.cancel()

    async def _run(self, request: Request, page: Page) -> None:
        assert page.history is not None
        assert page.entry is not None
        history = page.history
        last = history.attempts[-1] if history.attempts else (0.0, NETWORK, "")
        metadata = {
            "url": request.url,
            "task_type": history.task_type,
            "attempt": history.retries,
            "kind": last[1],
            "error": last[2],
            **request.meta.get("t8_metadata", {}),
        }
        try:
            with inside(page):
                error = await self._try(self._handlers[_key(request, page)], history.target or request.url, metadata)
        except asyncio.CancelledError:
            return
        self.busy.discard(page.entry)
        failure = None if error is None else Failure(last[1], error, reason=HANDLED)
        self._ended(request, page, failure)

    async def _try(self, handler: Handler, target: str, metadata: dict[str, Any]) -> str | None:
        """Return why *handler* failed, or None if it succeeded."""
        call = HandlerCall(handler, target, metadata, limit=self._limit)
        try:
            answer = await call.run()
        except NoThread as error:
            logger.warning("The retry handler of %s waits %g s: %s", target, PAUSE, error)
            await asyncio.sleep(PAUSE)
            return await self._try(handler, target, metadata)
        if answer is None:
            return call.no_answer
        return None if answer.succeeded else answer.error


def _key(request: Request, page: Page) -> str:
    """Return the key of a handler: the task type of the request."""
    task_type = page.history.task_type if page.history is not None else ""
    return str(request.meta.get("t8_handler") or task_type)
