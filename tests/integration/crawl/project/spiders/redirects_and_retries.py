"""Requests that replace others: redirects and retries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, ClassVar

from base import NotingSpider, page_of
from scrapy import Request, signals

from tests.support.probe import may_end, note


class Watch:
    """Downloader middleware and signal handler: places to end a run at, on the way of a replacing request."""

    @classmethod
    def from_crawler(cls, crawler: Any) -> Watch:
        watch = cls()
        crawler.signals.connect(watch.request_scheduled, signals.request_scheduled)
        crawler.signals.connect(watch.response_received, signals.response_received)
        return watch

    def response_received(self, response: Any) -> None:
        """End before the callback is called."""
        may_end(f"received {page_of(response)}")

    def request_scheduled(self, request: Request) -> None:
        """End before the scheduler has the request."""
        may_end(f"scheduled {self._what(request)}")

    async def process_request(self, request: Request) -> None:
        """End when the request is leased; then again when that is committed."""
        what = self._what(request)
        may_end(f"sent {what}")
        if what:
            await asyncio.sleep(0.2)
            may_end(f"committed {what}")

    def _what(self, request: Request) -> str:
        times = request.meta.get("redirect_times"), request.meta.get("retry_times")
        return "".join(f"{kind} {n}" for kind, n in zip(("redirect", "retry"), times, strict=True) if n)


class Replaced(NotingSpider):
    custom_settings: ClassVar = {"DOWNLOADER_MIDDLEWARES": {f"{__name__}.Watch": 50}}

    def parse(self, response: Any) -> Any:
        """Yield how the page was reached, and a filtered and an unfiltered request."""
        name = page_of(response)
        note(f"page {name}")
        may_end(name)
        yield {
            "page": name,
            "redirects": response.meta.get("redirect_times"),
            "retries": response.meta.get("retry_times"),
        }
        # With all that redirects and retries have left in meta.
        yield self.to(f"p/{name}/filtered", self.leaf, meta=response.meta)
        yield self.to(f"p/{name}/unfiltered", self.leaf, meta=response.meta, dont_filter=True)

    def failed(self, failure: Any) -> Any:
        name = page_of(failure.request)
        note(f"page {name} failed")
        may_end(f"{name} failed")
        yield {"failed": name, "retries": failure.request.meta.get("retry_times")}


class Redirects(Replaced):
    name = "redirects"
    custom_settings: ClassVar = {**Replaced.custom_settings, "REDIRECT_MAX_TIMES": 3}

    async def start(self) -> AsyncIterator[Any]:
        yield self.to("p/seen")
        yield self.to("p/list", self.redirected)

    def redirected(self, response: Any) -> Any:
        note("page list")
        for path in ("to/p/once", "to/to/to/p/thrice", "to/p/seen", "refresh/p/refreshed"):
            yield self.to(path, errback=self.failed)
        yield self.to("loop/a", errback=self.failed, dont_filter=True)
        # Both lead to the same page: one is filtered on its way.
        yield self.to("to/p/one-of-two")
        yield self.to("to/to/p/one-of-two")
        yield self.to("to/p/unfiltered", dont_filter=True)
        yield self.to("to/p/unfiltered", dont_filter=True)


class Retries(Replaced):
    name = "retries"

    async def start(self) -> AsyncIterator[Any]:
        yield self.to("in_turn/503,500,200/recovers", errback=self.failed)
        yield self.to("in_turn/503/given-up", errback=self.failed)
        yield self.to("in_turn/503/silent")
        yield self.to("in_turn/503,302/moved")


class Again(NotingSpider):
    """Whatever becomes of a page that is fetched again after a kill: what it has spawned already is not spawned twice.

    Its children run, and are committed, before the kill: the page waits for them.
    """

    name = "again"
    custom_settings: ClassVar = {"DOWNLOADER_MIDDLEWARES": {f"{__name__}.Watch": 50}}
    turns = "200"

    async def start(self) -> AsyncIterator[Any]:
        yield self.to(f"in_turn/{self.turns}/mother", self.mother, dont_filter=True)
        yield self.to("p/other", self.mother, dont_filter=True)

    async def mother(self, response: Any) -> Any:
        name = page_of(response).rpartition("/")[2]
        note(f"page {name}")
        yield {"page": name}
        for number in range(3):
            yield self.to(f"p/{name}/{number}", self.leaf, dont_filter=True)
            yield self.to(f"p/{name}/same", self.leaf, dont_filter=True)
            await asyncio.sleep(0.1)
            may_end(f"{name} {number}")
        yield self.to(f"p/{name}/filtered", self.leaf)
        yield self.to(f"p/{name}/same", self.leaf, dont_filter=True)
        yield {"page": name, "last": True}
