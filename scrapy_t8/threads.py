"""Other people's code in threads of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")


def run_here(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """What *work* returns or raises, waited for by plain code; also inside of a running loop, which stands still."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(lambda: asyncio.run(work())).result()


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
        except BaseException as error:
            set_it, value = future.set_exception, error
        with suppress(RuntimeError):  # nobody waits any more: the loop is closed
            loop.call_soon_threadsafe(tell, set_it, value)

    Thread(target=work, name="t8-in-thread", daemon=True).start()
    return await future
