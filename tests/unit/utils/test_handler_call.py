"""A handler is called within its limit; what it still does after that is reported."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from scrapy_t8.utils.handler_call import Answer, HandlerCall
from tests.support.process import HANG

LIMIT = 0.05


def call(handler: Any, limit: float = HANG, ended: Callable[[HandlerCall], None] = lambda call: None) -> HandlerCall:
    return HandlerCall(handler, "a", {"x": 1}, limit=limit, ended=ended)


def run(handler: Any, limit: float = HANG) -> tuple[Answer | None, HandlerCall]:
    async def main() -> tuple[Answer | None, HandlerCall]:
        made = call(handler, limit)
        return await made.run(), made

    return asyncio.run(main())


async def async_true(target: str, metadata: dict[str, Any]) -> bool:
    return (target, metadata) == ("a", {"x": 1})


async def async_raises(target: str, metadata: dict[str, Any]) -> bool:
    raise ValueError("one\ntwo")


async def async_without_arguments() -> bool:
    return True


class Undecided:
    def __bool__(self) -> bool:
        raise ValueError("neither true nor false")


class AsyncObject:
    async def __call__(self, target: str, metadata: dict[str, Any]) -> bool:
        return True


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        (lambda target, metadata: (target, metadata) == ("a", {"x": 1}), ""),
        (async_true, ""),
        (AsyncObject(), ""),
        (lambda target, metadata: async_true(target, metadata), ""),
        (lambda target, metadata: None, "the retry handler returned None, not True"),
        (async_raises, "the retry handler failed: ValueError: one two"),
        (lambda target, metadata: async_raises(target, metadata), "the retry handler failed: ValueError: one two"),
        (lambda target, metadata: Undecided(), "the retry handler failed: ValueError: neither true nor false"),
        (async_without_arguments, "the retry handler failed: TypeError: async_without_arguments() takes 0"),
        (lambda: True, "the retry handler failed: TypeError"),
    ],
)
def test_answers(handler: Any, error: str) -> None:
    answer, made = run(handler)
    assert answer is not None
    assert answer == made.answer
    assert answer.succeeded == (not error)
    assert answer.error.startswith(error)


def test_a_coroutine_that_takes_too_long_is_cancelled() -> None:
    async def hangs(target: str, metadata: dict[str, Any]) -> bool:
        await asyncio.sleep(3600)
        return True

    answer, made = run(hangs, LIMIT)
    assert answer is None
    assert made.answer == Answer(False, "the retry handler was cancelled")
    assert made.no_answer == "the retry handler gave no answer in 0.05 s"


def test_a_coroutine_that_ignores_its_cancellation_may_still_succeed() -> None:
    async def stubborn(target: str, metadata: dict[str, Any]) -> bool:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await asyncio.sleep(0.7)
        return True

    async def main() -> None:
        ended = asyncio.Event()
        made = call(stubborn, LIMIT, lambda call: ended.set())
        assert await made.run() is None
        assert made.answer is None
        await asyncio.wait_for(ended.wait(), HANG)
        assert made.answer == Answer(True)

    asyncio.run(main())


def test_a_thread_that_takes_too_long_goes_on_and_tells_its_end() -> None:
    go_on, ended = threading.Event(), threading.Event()
    _, made = asyncio.run(_late(lambda target, metadata: go_on.wait(HANG), ended))
    assert made.answer is None
    go_on.set()
    assert ended.wait(HANG)
    assert made.answer == Answer(True)


async def _late(handler: Any, ended: threading.Event) -> tuple[Answer | None, HandlerCall]:
    made = call(handler, LIMIT, lambda call: ended.set())
    return await made.run(), made


@pytest.mark.filterwarnings("error")
def test_a_coroutine_that_comes_after_the_end_of_its_loop_is_a_failure() -> None:
    go_on, ended = threading.Event(), threading.Event()

    def handler(target: str, metadata: dict[str, Any]) -> Any:
        go_on.wait(HANG)
        return async_true(target, metadata)

    _, made = asyncio.run(_late(handler, ended))
    go_on.set()
    assert ended.wait(HANG)
    assert made.answer == Answer(False, "the retry handler returned a coroutine after its loop was closed")


def test_hurrying_ends_the_wait() -> None:
    go_on = threading.Event()

    async def main() -> None:
        made = call(lambda target, metadata: go_on.wait(HANG))
        asyncio.get_running_loop().call_later(LIMIT, made.hurry)
        assert await made.run() is None
        assert made.is_hurried

    asyncio.run(main())
    assert not go_on.is_set()
    go_on.set()


def test_whoever_cancels_the_wait_cancels_the_coroutine() -> None:
    async def main() -> HandlerCall:
        begun = asyncio.Event()

        async def hangs() -> None:
            begun.set()
            await asyncio.sleep(3600)

        made = call(lambda target, metadata: hangs())
        task = asyncio.create_task(made.run())
        await asyncio.wait_for(begun.wait(), HANG)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)
        return made

    assert asyncio.run(main()).answer == Answer(False, "the retry handler was cancelled")
