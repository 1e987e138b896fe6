"""Run code of the user: in separate threads, and within a time limit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")


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

    Thread(target=lambda: asyncio.run(run()), name="t8-loop", daemon=True).start()
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
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # nobody else may ask
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
