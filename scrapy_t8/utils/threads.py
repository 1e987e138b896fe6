"""Other people's code: in threads of its own, within a limit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")


class NoAnswer(Exception):
    """Something has not ended within its limit."""


def run_here(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """What *work* returns or raises, waited for by plain code; also inside of a running loop, which stands still."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(lambda: asyncio.run(work())).result()


def run_apart(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """The same, always in a thread with a loop of its own. What *work* has left behind there is not waited for."""
    return begin_apart(work).result()


def begin_apart(work: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
    """Begin *work* in a thread with a loop of its own, which does not keep the process from ending."""
    answer: Future[T] = Future()

    async def tell() -> None:
        try:
            answer.set_result(await work())
        except BaseException as error:
            answer.set_exception(error)

    Thread(target=lambda: asyncio.run(tell()), name="t8-apart", daemon=True).start()
    return answer


async def in_thread(function: Callable[..., T], *args: Any) -> T:
    """What *function* returns or raises, called in a thread of its own.

    A daemon thread, not an executor's: one that hangs must not keep the process from ending.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def tell(set_it: Callable[[Any], None], value: Any) -> None:
        if not future.done():
            set_it(value)

    def work() -> None:
        set_it: Callable[[Any], None] = future.set_result
        value: Any
        try:
            value = function(*args)
        except (SystemExit, StopIteration, KeyboardInterrupt) as error:
            # These would end the loop, or be swallowed by it.
            set_it, value = future.set_exception, RuntimeError(f"{type(error).__name__} {error}".strip())
        except BaseException as error:
            set_it, value = future.set_exception, error
        with suppress(RuntimeError):  # nobody waits any more: the loop is closed
            loop.call_soon_threadsafe(tell, set_it, value)

    Thread(target=work, name="t8-in-thread", daemon=True).start()
    return await future


async def within(
    work: Awaitable[T], limit: float, since: Callable[[], float] | None = None, longest: float = float("inf")
) -> T:
    """What *work* returns or raises. After *limit* seconds it is cancelled, and whether it obeys is not waited for.

    :param since: when it last showed signs of life, by the monotonic clock; None: when it began.
    :param longest: seconds after which no sign of life helps.
    :raises NoAnswer: if it took too long.
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
