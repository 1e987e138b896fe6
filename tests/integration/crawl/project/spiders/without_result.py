"""Requests that end without a result, and items that get lost, each for another cause."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterable
from typing import Any, ClassVar

from base import NotingSpider, page_of
from scrapy import Request, signals
from scrapy.exceptions import CloseSpider, DropItem, IgnoreRequest

from scrapy_t8.validation.validator import ResumeValidator
from tests.support.probe import switched_on


class Stock:
    """Downloader middleware that ignores what is sold."""

    def process_request(self, request: Request) -> None:
        if "/sold" in request.url:
            self._refuse()

    def _refuse(self) -> None:
        raise IgnoreRequest("sold out")


class Silencer:
    """Spider middleware that swallows one kind of exception."""

    def process_spider_exception(self, response: Any, exception: Exception) -> Iterable[Any] | None:
        return [] if isinstance(exception, LookupError) else None


class Prices:
    """Pipeline that fails on some items."""

    async def process_item(self, item: Any) -> Any:
        if item["page"] == "p/dropped":
            raise DropItem("not wanted")
        if item["page"] == "p/cancelled":
            raise asyncio.CancelledError
        if item["page"] == "p/forgotten":
            return None
        if item["page"] == "head":
            raise ValueError("no price")
        return item


class Doubtful(NotingSpider):
    """Yields the requests that its argument names."""

    name = "doubtful"
    kinds = ""
    custom_settings: ClassVar = {
        "DOWNLOADER_MIDDLEWARES": {Stock: 450},
        "SPIDER_MIDDLEWARES": {Silencer: 500},
        "ITEM_PIPELINES": {Prices: 300},
        "REDIRECT_MAX_TIMES": 4,
        "RETRY_TIMES": 0,
        "ROBOTSTXT_OBEY": False,
    }

    @classmethod
    def from_crawler(cls, crawler: Any, *args: Any, **kwargs: Any) -> Any:
        spider = super().from_crawler(crawler, *args, **kwargs)
        if "refused" in spider.kinds:
            crawler.signals.connect(spider.refuse, signals.request_scheduled)
        return spider

    def refuse(self, request: Request) -> None:
        if "refused" in request.url:
            raise IgnoreRequest("not today")

    async def start(self) -> AsyncIterator[Any]:
        for kind in self.kinds.split():
            for output in getattr(self, f"of_{kind}")():
                yield output

    def of_ignored(self) -> Iterable[Any]:
        yield self.to("p/sold", self.leaf)
        yield self.to("p/sold-too", lambda response: None)

    def of_swallowed(self) -> Iterable[Any]:
        yield self.to("p/swallowed", self.fail)

    def of_loop(self) -> Iterable[Any]:
        yield self.to("loop/a", self.leaf)

    def of_gone(self) -> Iterable[Any]:
        yield self.to("status/404/plain", self.leaf)
        yield self.to("status/404/errback", self.leaf, errback=self.failed)
        yield self.to("status/410/errback", self.leaf, errback=self.failed)
        yield self.to("status/503/errback", self.leaf, errback=self.failed)

    def of_memory(self) -> Iterable[Any]:
        yield self.to("p/parent", self.parent)

    def of_refused(self) -> Iterable[Any]:
        yield self.to("p/refused", self.leaf)
        yield self.to("p/refuses", self.refuses)

    def refuses(self, response: Any) -> Any:
        yield {"page": "refuses"}
        yield self.to("p/refused-too", self.leaf)
        yield self.to("p/good", self.leaf)
        yield Request("http://elsewhere.test/refused", self.leaf)

    def of_items(self) -> Iterable[Any]:
        yield {"page": "head"}
        yield self.to("p/forgotten", self.leaf)
        yield self.to("p/cancelled", self.leaf)

    def of_harmless(self) -> Iterable[Any]:
        yield self.to("p/one", self.leaf)
        yield self.to("to/p/one", self.leaf)
        yield self.to("to/p/two", self.leaf)
        yield self.to("p/one", self.leaf)
        yield self.to("p/dropped", self.leaf)
        yield self.to("status/404/handled", self.leaf, meta={"handle_httpstatus_list": [404]})
        yield self.to("status/503/handled", self.leaf, meta={"handle_httpstatus_list": [503], "dont_retry": True})
        yield self.to("status/500/handled", self.leaf, meta={"handle_httpstatus_all": True})
        yield self.to("p/memory", lambda response: {"page": "memory"})

    def of_cancelled(self) -> Iterable[Any]:
        yield self.to("p/at-once", self.cancelled_at_once)
        yield self.to("p/awaiting", self.cancelled_while_awaiting)
        yield self.to("p/later", self.cancelled_later)
        yield self.to("p/memory-cancelled", lambda response: self.cancelled_later(response))
        yield self.to("p/fine", self.leaf)

    def of_pipelines(self) -> Iterable[Any]:
        yield self.to("p/many", self.many)

    def many(self, response: Any) -> Any:
        for page in ("p/one", *["p/cancelled"] * 5, "p/two"):
            yield {"page": page}
        yield self.to("p/fine", self.leaf)

    def of_errbacks(self) -> Iterable[Any]:
        for errback in (self.cancelled_at_once, self.cancelled_while_awaiting, self.cancelled_later_in_errback):
            yield self.to(f"cut-99/{errback.__name__}", self.leaf, errback=errback)
            yield self.to(f"status/404/{errback.__name__}", self.leaf, errback=errback)
        yield self.to("p/fine", self.leaf)

    def cancelled_later_in_errback(self, failure: Any) -> Any:
        yield {"page": "before"}
        raise asyncio.CancelledError

    def cancelled_at_once(self, response: Any) -> Any:
        raise asyncio.CancelledError

    async def cancelled_while_awaiting(self, response: Any) -> Any:
        task = asyncio.ensure_future(asyncio.sleep(600))
        asyncio.get_running_loop().call_soon(task.cancel)
        await task

    def cancelled_later(self, response: Any) -> Any:
        yield {"page": "before"}
        raise asyncio.CancelledError

    def fail(self, response: Any) -> Any:
        yield {"page": page_of(response)}
        raise LookupError("no such field")

    def failed(self, failure: Any) -> Any:
        yield {"page": "errback"}

    def parent(self, response: Any) -> Any:
        yield {"page": "parent"}
        yield self.to("status/404/memory", lambda response: None)
        yield self.to("p/raises", lambda response: 1 / 0)
        yield self.to("p/well", lambda response: {"page": "well"})


class Banned(NotingSpider):
    """Sees that it is blocked in a callback, in an errback, or in a request that runs from memory."""

    name = "banned"
    where = "callback"
    custom_settings: ClassVar = {"CONCURRENT_REQUESTS": 1, "RETRY_TIMES": 0}

    async def start(self) -> AsyncIterator[Any]:
        for number in range(2 if self.where == "last in memory" else 4):
            yield self.to(f"p/{number}")

    def parse(self, response: Any) -> Any:
        name = page_of(response)
        yield {"page": name}
        if name == "p/1" and self.where == "callback":
            yield from self.stop(name)
        if name == "p/1" and self.where == "errback":
            yield self.to("status/404/x", self.leaf, errback=self.failed)
        if name == "p/1" and self.where == "memory":
            yield self.to("p/memory", lambda response: self.stop("memory"))
        if name == "p/1" and self.where == "last in memory":
            yield self.to("p/memory", lambda response: self.stop("memory"))
        yield {"page": name, "last": True}

    def failed(self, failure: Any) -> Any:
        yield from self.stop("errback")

    def stop(self, name: str) -> Any:
        if self.where != "last in memory":
            yield {"stop": name}
        if switched_on("ban"):
            raise CloseSpider("banned")
        if self.where == "last in memory":
            yield {"stop": name}


class BrokenStart(NotingSpider):
    """A ``start()`` that ends with a CancelledError, the first time."""

    name = "broken_start"

    async def start(self) -> AsyncIterator[Any]:
        yield self.to("p/1", self.leaf)
        if switched_on("broken"):
            raise asyncio.CancelledError
        yield self.to("p/2", self.leaf)


class RemovesState(NotingSpider):
    """Removes the state file in the midst of the crawl."""

    name = "removes_state"

    async def start(self) -> AsyncIterator[Any]:
        yield self.to("p/1", self.leaf)
        os.remove(os.path.join(self.settings["JOBDIR"], "t8", "state.db"))


class Raises(ResumeValidator):
    async def validate(self, now: Any = None) -> dict[str, Any]:
        raise RuntimeError("the validator has a bug")


class Hangs(ResumeValidator):
    async def validate(self, now: Any = None) -> dict[str, Any]:
        await asyncio.get_running_loop().create_future()
        return {}


class Exits:
    """A pipeline that ends the process, as it says with success."""

    def open_spider(self) -> None:
        if os.environ.get("EXITS") == "open":
            sys.exit(0)

    def process_item(self, item: Any) -> Any:
        if os.environ.get("EXITS") == "item":
            sys.exit(0)
        return item
