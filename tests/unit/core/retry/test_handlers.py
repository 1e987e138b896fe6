"""Retry handlers: which entries they take, and what each way of ending means."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from scrapy import Request

from scrapy_t8.core.page import Page
from scrapy_t8.core.retry.failure import HOST, Failure
from scrapy_t8.core.retry.handlers import Handlers
from scrapy_t8.model.attempts import AttemptHistory
from scrapy_t8.utils.handler_call import Handler


class Results:
    def __init__(self) -> None:
        self.ended: list[tuple[Page, Failure | None]] = []

    def handler_ended(self, request: Request, page: Page, failure: Failure | None) -> None:
        self.ended.append((page, failure))


def page_of(task_type: str) -> Page:
    page = Page(5)
    history = AttemptHistory(task_type=task_type, target="car-7")
    history.add(0.0, HOST, "503", charged=True)
    page.begin_history(history)
    return page


def run(handler: Handler, *, limit: float = 60.0, meta: dict[str, Any] | None = None) -> tuple[Results, Handlers]:
    results = Results()
    handlers = Handlers({"BY_HAND": handler}, limit, results.handler_ended)

    async def try_once() -> None:
        handlers.run(Request("http://a/1", meta=meta or {}), page_of("BY_HAND"))
        assert handlers.busy == {5}
        await asyncio.gather(*handlers._tasks)

    asyncio.run(try_once())
    return results, handlers


async def says_yes(target: str, metadata: dict[str, Any]) -> bool:
    return True


async def says_no(target: str, metadata: dict[str, Any]) -> bool:
    return False


async def raises(target: str, metadata: dict[str, Any]) -> bool:
    raise ValueError("no such car")


async def hangs(target: str, metadata: dict[str, Any]) -> bool:
    await asyncio.Event().wait()
    return True


def in_a_thread(target: str, metadata: dict[str, Any]) -> bool:
    return (target, metadata["kind"], metadata["attempt"], metadata["sku"]) == ("car-7", HOST, 1, "7")


@pytest.mark.parametrize(
    ("handler", "limit", "error"),
    [
        (says_yes, 60.0, None),
        (says_no, 60.0, "returned False, not True"),
        (raises, 60.0, "no such car"),
        (hangs, 0.0, "no answer"),
    ],
)
def test_every_way_of_ending_is_a_result(handler: Handler, limit: float, error: str | None) -> None:
    results, handlers = run(handler, limit=limit)
    ((_, failure),) = results.ended
    assert (failure is None) == (error is None)
    if failure is not None:
        assert error is not None
        assert error in failure.error
        assert failure.kind == HOST
    assert not handlers.busy


def test_a_plain_function_gets_all_that_is_known() -> None:
    results, _ = run(in_a_thread, meta={"t8_metadata": {"sku": "7"}})
    assert [failure for _, failure in results.ended] == [None]


def test_entries_are_taken_by_task_type_or_by_name() -> None:
    handlers = Handlers({"BY_HAND": says_yes}, 1.0, Results().handler_ended)
    assert handlers.handles(Request("http://a"), page_of("BY_HAND"))
    assert not handlers.handles(Request("http://a"), page_of("OTHER"))
    assert handlers.handles(Request("http://a", meta={"t8_handler": "BY_HAND"}), page_of("OTHER"))
    handlers.register("OTHER", says_yes)
    assert handlers.handles(Request("http://a"), page_of("OTHER"))


def test_a_handler_that_is_cancelled_leaves_its_entry_due() -> None:
    results = Results()
    handlers = Handlers({"BY_HAND": hangs}, 60.0, results.handler_ended)

    async def cancel() -> None:
        handlers.run(Request("http://a/1"), page_of("BY_HAND"))
        await asyncio.sleep(0)
        handlers.close()
        await asyncio.gather(*handlers._tasks, return_exceptions=True)

    asyncio.run(cancel())
    assert results.ended == []
