"""Run code of the user: in separate threads, and within a time limit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from threading import Thread
from typing import Any, TypeVar

from scrapy_t8.errors import T8Error

T = TypeVar("T")


MORE_THREADS = "Allow this user or container more processes and threads (ulimit -u, pids.max)"
"""What a person can do if the machine starts no more threads."""


class NoAnswer(Exception):
    """The work has not ended within its limit."""


def in_loop() -> bool:
    """Return whether an event loop is running in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def run_blocking(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Return what *work* returns or raises, for plain code. A loop that runs in this thread is blocked until then."""
    return in_loop_thread(work).result() if in_loop() else asyncio.run(work())


def in_loop_thread(work: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
    """Start *work* in a thread with a loop of its own, which does not keep the process from ending.

    Tasks that *work* leaves behind in that loop are not waited for.
    """
    answer: Future[T] = Future()

    async def run() -> None:
        try:
            answer.set_result(await work())
        except BaseException as error:
            answer.set_exception(error)

    try:
        Thread(target=lambda: asyncio.run(run()), name="t8-loop", daemon=True).start()
    except RuntimeError as error:
        raise T8Error(f"{error}. {MORE_THREADS}") from None
    return answer


async def in_thread(function: Callable[..., T], *args: Any) -> T:
    """Return what *function* returns or raises in a thread of its own.

    A daemon thread, not an executor's: a function that hangs must not keep the process from ending.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def resolve(set_it: Callable[[Any], None], value: Any) -> None:
        if not future.done():
            set_it(value)

    def run() -> None:
        set_it: Callable[[Any], None] = future.set_result
        value: Any
        try:
            value = function(*args)
        except (SystemExit, StopIteration, KeyboardInterrupt) as error:
            # These would end the loop, or be swallowed by it.
            set_it, value = future.set_exception, RuntimeError(f"{type(error).__name__} {error}".strip())
        except BaseException as error:
            set_it, value = future.set_exception, error
        with suppress(RuntimeError):  # the loop is closed: nothing waits for the result
            loop.call_soon_threadsafe(resolve, set_it, value)

    Thread(target=run, name="t8-in-thread", daemon=True).start()
    return await future


async def in_thread_or_here(function: Callable[[], T]) -> T:
    """Return what *function* returns or raises; in this thread, where the loop stands still, if there is no other."""
    one = OneThread("t8-call")
    try:
        return await one.call(function)
    finally:
        one.close()


class OneThread:
    """Calls functions one after the other in one thread; in the calling thread if the machine allows no more threads.

    A pool that grows would fail later, with work whose outcome is unknown then.
    """

    def __init__(self, name: str) -> None:
        self._pool: ThreadPoolExecutor | None = ThreadPoolExecutor(1, thread_name_prefix=name)
        try:
            self._pool.submit(int).result()
        except RuntimeError:
            self._pool = None

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """Return what *function* returns or raises."""
        try:
            future = None if self._pool is None else self._pool.submit(function, *args)
        except RuntimeError:  # the interpreter ends
            future = None
        return function(*args) if future is None else await asyncio.wrap_future(future)

    def close(self) -> None:
        """End the thread when its work is done."""
        if self._pool is not None:
            self._pool.shutdown(wait=False)


class Workers:
    """How many threads may be at work at once: *most*, or as many as the machine allows.

    :param setting: where *most* is from, for the message.
    """

    def __init__(self, most: int, setting: str) -> None:
        self.limit = most
        self._most = most
        self._setting = setting
        self._is_told = False

    def restore(self) -> None:
        """Try again whether the machine allows all of them."""
        self.limit = self._most

    def lose(self, working: int) -> None:
        """Note that one of *working* threads could not be started."""
        self.limit = max(0, min(self.limit, working) - 1)

    def shortage(self) -> str:
        """Return a message about missing threads, once; else an empty one."""
        if self._is_told or self.limit == self._most:
            return ""
        self._is_told = True
        few = f"up to {self.limit} at once, not {self._most} ({self._setting})"
        return f"The machine allows no more threads: {few}. No task is charged for that. {MORE_THREADS}"


async def with_timeout(
    work: Awaitable[T], limit: float, since: Callable[[], float] | None = None, longest: float = float("inf")
) -> T:
    """Return what *work* returns or raises. After *limit* seconds it is cancelled, but its end is not waited for.

    :param since: the monotonic time of the last sign of life of *work*, from which *limit* counts; None: its start.
    :param longest: seconds after which *work* is cancelled in spite of signs of life.
    :raises NoAnswer: if *work* took too long.
    """
    began = time.monotonic()
    task = asyncio.ensure_future(work)
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # marks the exception as retrieved
    try:
        while not task.done():
            end = min((since() if since is not None else began) + limit, began + longest)
            if (left := end - time.monotonic()) <= 0:
                raise NoAnswer
            await asyncio.wait([task], timeout=left)
    finally:
        task.cancel()
    if task.cancelled():
        raise RuntimeError("it was cancelled")
    return task.result()


def is_of_code(error: BaseException) -> bool:
    """Whether *error* is no Exception, and was raised by code that ran: its task was not cancelled."""
    if isinstance(error, (Exception, KeyboardInterrupt, SystemExit, GeneratorExit)):
        return False
    # Before Python 3.11 a task does not say whether it was cancelled.
    was_cancelled = getattr(asyncio.current_task(), "cancelling", lambda: 1)
    return not (isinstance(error, asyncio.CancelledError) and was_cancelled())


def ending_output(output: Iterable[Any], raised: Callable[[BaseException], object]) -> Iterator[Any]:
    """Yield the *output* of an errback. No task is cancelled inside: there is nothing to wait for."""
    try:
        yield from output
    except (Exception, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        raised(error)


class EndingOutput(AsyncIterator[Any]):
    """The output of a callback, which ends with an exception that is no Exception."""

    def __init__(self, output: AsyncIterator[Any], raised: Callable[[BaseException], object]) -> None:
        self._next = output.__anext__
        self._raised = raised

    async def __anext__(self) -> Any:
        try:
            return await self._next()
        except BaseException as error:
            if not is_of_code(error):
                raise
            self._raised(error)
            raise StopAsyncIteration from None
