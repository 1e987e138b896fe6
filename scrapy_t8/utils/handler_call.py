"""One call of a user's retry handler, with a time limit.

Neither a thread nor a coroutine that ignores its cancellation can be ended from outside. A call that was given up may
therefore go on; as long as it does, no other call for the same task may begin.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from threading import Thread
from typing import Any, NamedTuple, TypeAlias

from .text import one_line
from .threads import MORE_THREADS

Handler: TypeAlias = Callable[[str, dict[str, Any]], "bool | Awaitable[bool]"]

CANCEL_PATIENCE = 0.5
"""Seconds in which a cancelled coroutine has to end."""


class NoThread(Exception):
    """The machine allows no more threads: the handler was not called."""


class Answer(NamedTuple):
    """How a handler has ended."""

    succeeded: bool
    error: str = ""


class HandlerCall:
    """Calls *handler* once, with *target* and *metadata*.

    A coroutine function runs on the running event loop, any other function in a thread of its own. A true result is a
    success; a false one and an exception are failures.

    :param limit: seconds within which the handler has to end.
    :param ended: called with this call when the handler has ended, however late, from whatever thread.
    """

    def __init__(
        self,
        handler: Handler,
        target: str,
        metadata: dict[str, Any],
        *,
        limit: float,
        ended: Callable[[HandlerCall], None] = lambda call: None,
    ) -> None:
        self._handler = handler
        self._arguments = (target, metadata)
        self._limit = limit
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._end_of_wait: asyncio.Future[None] = self._loop.create_future()
        self._task: asyncio.Task[None] | None = None
        self.no_answer = f"the retry handler gave no answer in {limit:g} s"
        self.answer: Answer | None = None
        """None as long as the handler has not ended."""
        self.is_hurried = False
        self.began = time.monotonic()

    async def run(self) -> Answer | None:
        """Start the handler and return its answer.

        Return None if there was none within the limit or before :meth:`hurry`. A coroutine is cancelled then, and
        waited for briefly; :attr:`answer` says whether the handler has ended meanwhile.

        :raises NoThread: if there is no thread for the handler, which was not called.
        """
        self._start()
        try:
            await asyncio.wait([self._end_of_wait], timeout=self._limit)
            answer = self.answer
            if answer is None and self._task is not None:
                self._task.cancel()
                await asyncio.wait([self._task], timeout=CANCEL_PATIENCE)
        except asyncio.CancelledError:
            if self._task is not None:
                self._task.cancel()
            raise
        return answer

    def hurry(self) -> None:
        """Let :meth:`run` wait no longer."""
        self.is_hurried = True
        self._stop_waiting()

    def _start(self) -> None:
        if any(map(inspect.iscoroutinefunction, (self._handler, getattr(self._handler, "__call__", None)))):  # noqa: B004
            self._await_in_task(lambda: self._handler(*self._arguments))
            return
        try:
            # A daemon thread, not an executor's: a handler that hangs must not keep the process from ending.
            Thread(target=self._call, name="t8-retry-handler", daemon=True).start()
        except RuntimeError as error:
            raise NoThread(f"{error}. {MORE_THREADS}") from None

    def _await_in_task(self, begin: Callable[[], Any]) -> None:
        self._task = self._loop.create_task(self._await(begin))

    async def _await(self, begin: Callable[[], Any]) -> None:
        try:
            answer = _answer(await begin())
        except asyncio.CancelledError:
            answer = Answer(False, "the retry handler was cancelled")
        except Exception as error:
            answer = _failure(error)
        self._end(answer)

    def _call(self) -> None:
        try:
            result: Any = self._handler(*self._arguments)
            answer = None if inspect.isawaitable(result) else _answer(result)
        except BaseException as error:
            answer = _failure(error)
        if answer is not None:
            self._end(answer)
        elif not self._on_loop(lambda: self._await_in_task(lambda: result)):
            if inspect.iscoroutine(result):
                result.close()
            self._end(Answer(False, "the retry handler returned a coroutine after its loop was closed"))

    def _end(self, answer: Answer) -> None:
        self.answer = answer
        self._on_loop(self._stop_waiting)
        self._ended(self)

    def _stop_waiting(self) -> None:
        if not self._end_of_wait.done():
            self._end_of_wait.set_result(None)

    def _on_loop(self, call: Callable[[], None]) -> bool:
        """Run *call* on the loop. Return False if the loop is closed: nothing waits for the result then."""
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:
            return False
        return True


def _answer(result: object) -> Answer:
    return Answer(True) if result else Answer(False, f"the retry handler returned {result!r:.60}, not True")


def _failure(error: BaseException) -> Answer:
    return Answer(False, one_line(f"the retry handler failed: {type(error).__name__}: {error}"))
