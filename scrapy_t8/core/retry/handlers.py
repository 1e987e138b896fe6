"""Retries that are not done by crawling: handlers of the user's own, by task type."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from scrapy import Request

from scrapy_t8.core.page import Page
from scrapy_t8.utils.handler_call import Handler, HandlerCall

from .failure import NETWORK, Failure


class Handlers:
    """Called with ``(target, metadata)`` when an entry of their task type is due. True settles it.

    False, an exception, or no answer within *limit* seconds is a failed attempt. A coroutine function runs on the event
    loop, any other in a thread of its own. One that never returns keeps its thread, and nothing else.

    :param failed: told of an attempt that has failed.
    :param succeeded: told of one that has not.
    :param end: told of a page whose attempt is over.
    """

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        limit: float,
        failed: Callable[[Request, Page, Failure], None],
        succeeded: Callable[[Request, Page], None],
        end: Callable[[Page], None],
    ) -> None:
        self._handlers = dict(handlers)
        self._limit = limit
        self._failed = failed
        self._succeeded = succeeded
        self._end = end
        self._tasks: set[asyncio.Task[None]] = set()
        self.busy: set[int] = set()
        """Entries that a handler works on."""

    def handles(self, request: Request, page: Page) -> bool:
        """Whether a handler does the retries of *request*."""
        return _key(request, page) in self._handlers

    def register(self, task_type: str, handler: Handler) -> None:
        """From now on *handler* does the retries of *task_type*."""
        self._handlers[task_type] = handler

    def run(self, request: Request, page: Page) -> None:
        """Have the handler try *page*, whose entry is due."""
        assert page.entry is not None
        self.busy.add(page.entry)
        task = asyncio.get_running_loop().create_task(self._run(request, page))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Wait for nobody: what is not settled is due again in the next run."""
        for task in self._tasks:
            task.cancel()

    async def _run(self, request: Request, page: Page) -> None:
        assert page.story is not None
        assert page.entry is not None
        story = page.story
        last = story.attempts[-1] if story.attempts else (0.0, NETWORK, "")
        metadata = {
            "url": request.url,
            "task_type": story.task_type,
            "attempt": story.retries,
            "kind": last[1],
            "error": last[2],
            **request.meta.get("t8_metadata", {}),
        }
        page.replacing = page.dropped = False
        try:
            error = await self._try(self._handlers[_key(request, page)], story.target or request.url, metadata)
        except asyncio.CancelledError:
            return
        if error is not None:
            self._failed(request, page, Failure(last[1], error, reason="handler"))
        else:
            self._succeeded(request, page)
        self.busy.discard(page.entry)
        self._end(page)

    async def _try(self, handler: Handler, target: str, metadata: dict[str, Any]) -> str | None:
        """Return why *handler* failed, or None if it succeeded."""
        call = HandlerCall(handler, target, metadata, limit=self._limit)
        answer = await call.run()
        if answer is None:
            return call.no_answer
        return None if answer.succeeded else answer.error


def _key(request: Request, page: Page) -> str:
    """What a handler is registered for: the task type, or what the request itself says."""
    task_type = page.story.task_type if page.story is not None else ""
    return str(request.meta.get("t8_handler") or task_type)
