"""Middlewares that keep requests back, answer with requests of their own, and give responses other requests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, ClassVar
from urllib.parse import quote

from base import NotingSpider
from scrapy import Request
from scrapy.exceptions import IgnoreRequest

from tests.support.probe import SITE, may_end, note, switched_on


class Gatekeeper:
    """Needs a ticket first: the first request is answered with one for the ticket, the others are ignored meanwhile.

    The request for the ticket has a method of the spider as callback, so that it could be stored.
    """

    ticket = ""

    def __init__(self, crawler: Any) -> None:
        self._crawler = crawler
        self.kept: list[Request] = []

    @classmethod
    def from_crawler(cls, crawler: Any) -> Gatekeeper:
        crawler.spider.gatekeeper = cls(crawler)
        return crawler.spider.gatekeeper

    def process_request(self, request: Request) -> Request | None:
        if "ticket" in request.url or self.ticket:
            return None
        self.kept.append(request)
        if len(self.kept) > 1:
            raise IgnoreRequest("no ticket yet")
        spider = self._crawler.spider
        return Request(f"{SITE}/{spider.ticket_page}", spider.ticket, dont_filter=True, priority=100)


class Gated(NotingSpider):
    name = "gated"
    ticket_page = "slow/100/ticket"
    gatekeeper: Gatekeeper
    custom_settings: ClassVar = {"DOWNLOADER_MIDDLEWARES": {Gatekeeper: 200}, "CONCURRENT_REQUESTS": 6}

    async def start(self) -> AsyncIterator[Any]:
        for number in range(5):
            yield self.to(f"slow/20/{number}", self.shelf, cb_kwargs={"shelf": number})

    def ticket(self, response: Any) -> Any:
        note("ticket")
        may_end("ticket")
        self.gatekeeper.ticket = "T"
        kept, self.gatekeeper.kept = self.gatekeeper.kept, []
        for number, request in enumerate(kept):
            yield request.replace(dont_filter=True, headers={"Ticket": "T"})
            may_end(f"sent {number}")

    def shelf(self, response: Any, shelf: int) -> Any:
        note(f"page shelf {shelf}")
        yield {"shelf": shelf}
        yield self.to(f"p/below-{shelf}", self.leaf, dont_filter=True)
        may_end(f"shelf {shelf}")


class GatedFromMemory(Gated):
    """The same, with callbacks that cannot be stored."""

    name = "gated_from_memory"

    async def start(self) -> AsyncIterator[Any]:
        for number in range(5):
            yield self.to(f"slow/20/{number}", lambda response, number=number: self.shelf(response, number))


class NoTickets(Gated):
    """The site has no ticket."""

    name = "no_tickets"
    ticket_page = "gone/ticket"


class Inspector:
    """Ignores requests, or sees to it that they go another way."""

    def process_request(self, request: Request) -> Request | None:
        if "unwanted" in request.url:
            raise IgnoreRequest("unwanted")
        if "by-way" in request.url or "way_of" in request.meta:
            return None
        url = f"{SITE}/p/by-way?to={quote(request.url, '')}"
        return Request(url, request.callback, meta={**request.meta, "way_of": request.url}, dont_filter=True)


class ByWay(NotingSpider):
    name = "by_way"
    custom_settings: ClassVar = {"DOWNLOADER_MIDDLEWARES": {Inspector: 200}, "CONCURRENT_REQUESTS": 2}

    async def start(self) -> AsyncIterator[Any]:
        yield self.to("p/root", self.parse)

    def parse(self, response: Any) -> Any:
        note("page root")
        for number in range(9):
            yield self.to(f"p/{number}" if number % 3 else f"p/unwanted-{number}", self.there)
        may_end("root")

    def there(self, response: Any) -> Any:
        name = response.meta["way_of"].rpartition("/")[2]
        note(f"page {name}")
        may_end(name)
        yield {"page": name}


class Forger:
    """Gives each response a request that it was not the response to."""

    def process_response(self, request: Request, response: Any) -> Any:
        other = Request(request.url, request.callback, cb_kwargs=request.cb_kwargs)
        return response.replace(request=other if "new" in request.url else request.copy())


class Forged(NotingSpider):
    name = "forged"
    custom_settings: ClassVar = {"DOWNLOADER_MIDDLEWARES": {Forger: 300}, "CONCURRENT_REQUESTS": 1}

    async def start(self) -> AsyncIterator[Any]:
        for name in ("new-1", "old-2", "new-3", "old-4", "new-5"):
            yield self.to(f"p/{name}", self.page)

    def page(self, response: Any) -> Any:
        name = response.url.rpartition("/")[2]
        may_end(name)
        if name in ("old-2", "new-3") and not switched_on("fixed"):
            raise LookupError(name)
        yield {"page": name}
