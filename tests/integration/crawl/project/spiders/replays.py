"""Pages and a ``start()`` whose requests carry something that is new at each attempt."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timezone
from secrets import token_hex
from typing import Any, ClassVar

from base import NotingSpider
from scrapy import Request

from scrapy_t8 import RetryPage
from tests.support.probe import may_end, note

NAMES = {"ada", "bea", "cleo", "dora", "edna", "fay"}


def names() -> list[str]:
    """Return the names in an order of this run. Processes that are forked off share the order of a set."""
    return random.Random(os.environ.get("PYTHONHASHSEED")).sample(list(NAMES), len(NAMES))


class Slow:
    """Takes its time for the item of a root, so that everything else of the page is committed before."""

    async def process_item(self, item: Any) -> Any:
        if "root" in item:
            await asyncio.sleep(0.3)
            may_end("item")
        return item


class Renewing(NotingSpider):
    """Yields a request for each name, in an order that differs between runs.

    ``carries`` says what the requests carry, ``way`` how the page yields them.
    """

    name = "renewing"
    carries = "stamp"
    way = "generator"
    custom_settings: ClassVar = {"ITEM_PIPELINES": {Slow: 100}, "CONCURRENT_REQUESTS": 3, "T8_RETRY_BASE": 0.01}

    async def start(self) -> AsyncIterator[Any]:
        if self.way == "start":
            for request in self.requests():
                yield request
                await asyncio.sleep(0.03)
                may_end("yielded")
            return
        if self.way == "errback":
            yield self.to("status/404/root", self.child, errback=self.errback)
        else:
            yield self.to("p/root", getattr(self, self.way))

    def requests(self) -> Iterator[Request]:
        for name in names():
            at, token = datetime.now(timezone.utc).isoformat(), token_hex(8)
            match self.carries:
                case "stamp":
                    yield self.to(f"p/{name}", self.child, meta={"who": {"at": at}}, dont_filter=True)
                case "token":
                    yield self.to(f"p/{name}", self.child, cb_kwargs={"token": token}, dont_filter=True)
                case "siblings":
                    yield self.to("p/one", self.child, meta={"who": {"name": name}}, dont_filter=True)
                case "both":
                    who = {"name": name, "at": at}
                    yield self.to("p/one", self.child, meta={"who": who}, cb_kwargs={"token": token}, dont_filter=True)
                case "alike":
                    yield self.to("p/one", self.child, meta={"at": at}, dont_filter=True)

    def generator(self, response: Any) -> Iterator[Any]:
        note("page root")
        yield from self.requests()
        yield {"root": 1}

    async def asynchronous(self, response: Any) -> AsyncIterator[Any]:
        note("page root")
        for request in self.requests():
            yield request
            await asyncio.sleep(0.03)
            may_end("yielded")
        yield {"root": 1}

    async def coroutine(self, response: Any) -> list[Any]:
        return list(self.generator(response))

    def errback(self, failure: Any) -> Iterator[Any]:
        return self.generator(failure)

    def by_lambda(self, response: Any) -> Iterator[Any]:
        """Leaves everything to a request that runs from memory."""
        note("page root")
        yield self.to("p/other", lambda response: self.generator(response), dont_filter=True)

    def retried(self, response: Any) -> Iterator[Any]:
        """Raises when everything is yielded, until its request has been tried three times."""
        yield from self.requests()
        if response.meta.get("retry_times", 0) < 2:
            may_end("raises")
            raise RetryPage("not yet")
        yield {"root": 1}

    def child(self, response: Any, token: str = "") -> Iterator[Any]:
        name = response.meta.get("who", {}).get("name") or response.url.rpartition("/")[2]
        note(f"page {name}")
        yield {"child": name}


class Polling(NotingSpider):
    """Its ``start()`` waits for what its first request brings, and that request has a token."""

    name = "polling"

    async def start(self) -> AsyncIterator[Any]:
        self.answered = asyncio.Event()
        yield self.to("p/login", self.login, meta={"token": token_hex(8)}, dont_filter=True)
        await self.answered.wait()
        may_end("answered")
        for number in range(3):
            yield self.to(f"p/{number}", self.leaf)

    def login(self, response: Any) -> None:
        self.answered.set()
