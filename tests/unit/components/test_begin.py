"""The names of what ``start()`` assigns are remembered; stored requests wait as long as they must."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from scrapy import Spider

from scrapy_t8.components.spidermiddlewares import begin
from scrapy_t8.components.spidermiddlewares.begin import NAME, RunBeginning
from scrapy_t8.errors import BeginFailed


class Job:
    """As much of a job as the beginning of a run uses."""

    def __init__(self, spider: Any, stored: bytes = b"") -> None:
        self.crawler = SimpleNamespace(spider=spider, engine=None)
        self.store = SimpleNamespace(kept=lambda name: {name: stored} if stored else {})
        self.held: list[bool] = []

    def hold_requests(self, is_held: bool) -> None:
        self.held.append(is_held)

    def persist(self, component: Any) -> None:
        self.component = component


async def outputs(spider: Any, taken: list[int]) -> AsyncIterator[int]:
    spider.token = "secret"
    for number in range(3):
        taken.append(number)
        yield number


def test_what_start_assigns_is_remembered() -> None:
    spider: Any = Spider("x")
    spider.known = before = object()
    job = Job(spider)
    beginning = RunBeginning(job)  # type: ignore[arg-type]
    asyncio.run(beginning.call_hook())
    spider.token, spider.count, spider.today, spider.known = "secret", 3, datetime.date(2026, 1, 2), before
    beginning.reached_output()
    assert beginning.dump(force=False) == {NAME: b'["token"]'}
    assert beginning.dump(force=True) == {}
    assert job.held == []


def test_what_start_puts_into_a_dict_is_remembered() -> None:
    spider: Any = Spider("x")
    spider.headers, spider.pages, spider.old, spider.state = {"Accept": "*/*"}, {"n": 1}, {"token": "known"}, {}
    beginning = RunBeginning(Job(spider))  # type: ignore[arg-type]
    asyncio.run(beginning.call_hook())
    spider.headers["Authorization"] = "secret"
    spider.pages["n"] = 2
    spider.state["day"] = "Monday"
    beginning.reached_output()
    assert beginning.dump(force=False) == {NAME: b'["headers"]'}


def test_a_later_run_comes_to_the_first_output_again() -> None:
    spider: Any = Spider("x")
    job = Job(spider, b'["token"]')
    beginning = RunBeginning(job)  # type: ignore[arg-type]
    taken: list[int] = []
    assert job.held == [True]
    asyncio.run(beginning.call_hook())
    asyncio.run(beginning.repeat(outputs(spider, taken)))
    assert (spider.token, taken, job.held) == ("secret", [0], [True, False])


def test_nothing_is_run_again_without_need() -> None:
    spider: Any = Spider("x")
    job = Job(spider)
    taken: list[int] = []
    asyncio.run(RunBeginning(job).repeat(outputs(spider, taken)))  # type: ignore[arg-type]
    assert (taken, job.held) == ([], [])


@pytest.mark.parametrize("is_async", [True, False])
def test_the_hook_comes_first(is_async: bool) -> None:
    calls: list[str] = []

    async def later() -> None:
        calls.append("awaited")

    spider: Any = Spider("x")
    spider.t8_begin = later if is_async else lambda: calls.append("called")
    job = Job(spider, b'["token"]')
    beginning = RunBeginning(job)  # type: ignore[arg-type]
    asyncio.run(beginning.call_hook())
    assert calls == ["awaited" if is_async else "called"]
    assert job.held == [True, False]
    spider.more = "text"
    beginning.reached_output()
    assert beginning.dump(force=False) == {NAME: b"[]"}, "the hook brings it in each run"


def test_an_exception_ends_the_run(caplog: pytest.LogCaptureFixture) -> None:
    spider: Any = Spider("x")
    spider.t8_begin = lambda: 1 // 0
    job = Job(spider)
    with pytest.raises(BeginFailed, match=rf"Spider\.{begin.HOOK}\(\) has raised ZeroDivisionError\('"):
        asyncio.run(RunBeginning(job).call_hook())  # type: ignore[arg-type]
    assert job.held == [True]
    assert "has raised an exception" in caplog.text
