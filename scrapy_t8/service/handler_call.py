"""One call of a handler: what came of it, and whether it has ended at all.

Neither a thread nor a coroutine that does not want to end can be made to. So an attempt that is given up may go on; as
long as it does, nobody is to begin another one of the same task.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from threading import Thread
from typing import Any, TypeAlias

from scrapy_t8.utils.text import one_line

Handler: TypeAlias = Callable[[str, dict[str, Any]], "bool | Awaitable[bool]"]
Answer = tuple[bool, str]
"""Whether the task is done, else why not."""


class HandlerCall:
    """Calls *handler* once. A coroutine function runs on the event loop, any other in a thread of its own.

    What is true is success; False, None and an exception are a failure.

    :param ended: called when the handler has ended, however late, from whatever thread.
    """

    def __init__(
        self, handler: Handler, target: str, metadata: dict[str, Any], ended: Callable[[HandlerCall], None]
    ) -> None:
        self._handler = handler
        self._arguments = (target, metadata)
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()
        self._task: asyncio.Task[None] | None = None
        self.answer: Answer | None = None
        """None as long as the handler has not ended."""
        self.is_hurried = False
        self.began = time.monotonic()

    def start(self) -> None:
        if inspect.iscoroutinefunction(self._handler) or inspect.iscoroutinefunction(
            getattr(self._handler, "__call__", None)  # noqa: B004
        ):
            self._task = self._loop.create_task(self._await(self._handler(*self._arguments)))
        else:
            # A daemon thread, not an executor's: one that hangs must not keep the process from ending.
            try:
                Thread(target=self._call, name="t8-retry-handler", daemon=True).start()
            except RuntimeError as error:
                self._end((False, _told(error)))

    async def wait(self, limit: float) -> Answer | None:
        """The answer; None if there was none within *limit* seconds, or before :meth:`hurry`."""
        await asyncio.wait([self._future], timeout=limit)
        return self.answer

    def hurry(self) -> None:
        """Nobody is to wait any more."""
        self.is_hurried = True
        self._tell()

    async def cancel(self, patience: float) -> Answer | None:
        """Ask a coroutine to end, and give it some seconds to do so. A thread cannot be asked."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=patience)
        return self.answer

    async def _await(self, coroutine: Any) -> None:
        try:
            self._end(_answer(await coroutine))
        except asyncio.CancelledError:
            self._end((False, "the retry handler was cancelled"))
        except Exception as error:
            self._end((False, _told(error)))

    def _call(self) -> None:
        try:
            result = self._handler(*self._arguments)
        except BaseException as error:
            self._end((False, _told(error)))
            return
        if inspect.isawaitable(result):
            self._later(lambda: self._go_on(result))
        else:
            self._end(_answer(result))

    def _go_on(self, awaitable: Any) -> None:
        self._task = self._loop.create_task(self._await(awaitable))

    def _end(self, answer: Answer) -> None:
        self.answer = answer
        self._later(self._tell)
        self._ended(self)

    def _tell(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    def _later(self, call: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more


def _answer(result: object) -> Answer:
    return (True, "") if result else (False, f"the retry handler returned {result!r:.60}, not True")


def _told(error: BaseException) -> str:
    return one_line(f"the retry handler failed: {type(error).__name__}: {error}")
