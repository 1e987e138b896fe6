"""Spiders that note the order in which their pages are processed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from base import NotingSpider
from scrapy import Request

from scrapy_t8.core.frontier import queues
from tests.support.probe import SITE, may_end, note

HOSTS = ("127.0.0.1", "127.0.0.2", "localhost")


class Order(NotingSpider):
    """A tree of pages.

    :param hosts: among how many hosts the pages are spread.
    :param priorities: the priorities that requests have in turn.
    :param live: every so many requests runs from memory.
    """

    name = "order"

    def __init__(self, hosts: str = "0", priorities: str = "0", live: str = "0", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._hosts = int(hosts)
        self._priorities = [int(priority) for priority in priorities.split(",")]
        self._live = int(live)

    async def start(self) -> AsyncIterator[Any]:
        for number in range(4):
            yield self.request(f"{number}", number)

    def request(self, name: str, number: int) -> Request:
        """The request for page *name*, the *number*-th of its siblings."""
        live = self._live and number % self._live == 1
        return Request(
            SITE.replace("127.0.0.1", HOSTS[number % self._hosts]) + f"/p/{name}" if self._hosts else f"data:,{name}",
            (lambda response: self.parse(response)) if live else None,
            meta={"name": name},
            priority=self._priorities[number % len(self._priorities)],
        )

    def parse(self, response: Any) -> Any:
        name = response.meta["name"]
        note(f"page {name}")
        may_end("page")
        for number in range(3 if name.count(".") < 2 else 0):
            yield self.request(f"{name}.{number}", number)
            yield {"page": name, "output": number}


class Wide(NotingSpider):
    """A page with far more requests than a queue holds in memory, which here is less, of which some bring one more."""

    name = "wide"

    async def start(self) -> AsyncIterator[Any]:
        queues.KEEP, queues.LOAD = queues.KEEP // 8, queues.LOAD // 8
        yield Request("data:,wide")

    def parse(self, response: Any) -> Any:
        for number in range(220):
            yield Request(f"data:,{number}", self.child)

    def child(self, response: Any) -> Any:
        note(f"page {response.text}")
        may_end("page")
        yield {"page": response.text}
        if response.text.isdigit() and int(response.text) % 20 == 0:
            yield Request(f"data:,of-{response.text}", self.child)
