"""A chain of pages, each of which leads to the next."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from base import NotingSpider
from scrapy import Request

from tests.support.probe import may_end, note, switched_on

LENGTH = 6


class Live:
    """An object that cannot be stored."""


class Chain(NotingSpider):
    """No request of the chain can be stored. With the switch ``anchored`` the first one can."""

    name = "chain"

    async def start(self) -> AsyncIterator[Any]:
        yield self.to("p/0", meta={} if switched_on("anchored") else {"browser": {"page": Live()}})

    def parse(self, response: Any) -> Any:
        yield from self.follow(response, 0)

    def follow(self, response: Any, number: int) -> Any:
        note(f"page p/{number}")
        may_end(f"page:{number}")
        yield {"page": f"p/{number}"}
        if number < LENGTH - 1:
            yield self.next(number + 1)

    def next(self, number: int) -> Request:
        return self.to(f"p/{number}", lambda response: self.follow(response, number))
