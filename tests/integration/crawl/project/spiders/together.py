"""Requests that belong together: those that share a value, and those that only meta or cb_kwargs tell apart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from base import NotingSpider
from scrapy.dupefilters import RFPDupeFilter

from tests.support.probe import may_end, note


@dataclass
class Basket:
    rows: list[str] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)


class Baskets(NotingSpider):
    """Each page fills a basket by several requests; the last one to come brings it."""

    name = "baskets"
    custom_settings: ClassVar = {"CONCURRENT_REQUESTS": 3}
    names = "abcdef"

    async def start(self) -> AsyncIterator[Any]:
        yield self.to("p/quick", self.quick)
        yield self.to("p/patient", self.patient)

    def quick(self, response: Any) -> Any:
        note("page quick")
        basket = Basket(missing=set(self.names))
        for name in self.names:
            yield self.to(f"slow/20/quick-{name}", self.row, meta={"of": {"basket": basket, "row": name}})

    async def patient(self, response: Any) -> Any:
        """Is not through with what it yields when the first ones are back."""
        note("page patient")
        basket = Basket(missing=set(self.names))
        for name in self.names:
            yield self.to(f"p/patient-{name}", self.row, meta={"of": (basket, {"row": name})})
            await asyncio.sleep(0.05)

    def row(self, response: Any) -> Any:
        of = response.meta["of"]
        basket, name = (of["basket"], of["row"]) if isinstance(of, dict) else (of[0], of[1]["row"])
        note(f"page row {response.url.rpartition('/')[2]}")
        basket.rows.append(name)
        basket.missing.discard(name)
        may_end(response.url.rpartition("/")[2])
        if not basket.missing:
            yield {"rows": "".join(sorted(set(basket.rows)))}


class HeldBaskets(Baskets):
    """The last request of each basket has no answer yet when the crawl is killed."""

    name = "held_baskets"
    custom_settings: ClassVar = {"CONCURRENT_REQUESTS": 16, "CONCURRENT_REQUESTS_PER_DOMAIN": 16}
    names = "abc"
    filtered = "yes"

    async def start(self) -> AsyncIterator[Any]:
        for number in range(3):
            yield self.to(f"p/basket-{number}", self.quick)
        yield self.to("slow/300/last", self.last)

    def quick(self, response: Any) -> Any:
        basket = Basket(missing=set(self.names))
        for name in self.names:
            path = f"{'held' if name == 'c' else 'p'}/{response.url.rpartition('-')[2]}-{name}"
            of = {"basket": basket, "row": name}
            yield self.to(path, self.row, meta={"of": of}, dont_filter=self.filtered != "yes")

    def last(self, response: Any) -> Any:
        may_end("last")


class BasketOfStart(Baskets):
    """``start()`` passes one basket to requests that go one after the other, some of them by way of a redirect."""

    name = "basket_of_start"
    custom_settings: ClassVar = {"CONCURRENT_REQUESTS": 1}

    async def start(self) -> AsyncIterator[Any]:
        basket = Basket(missing=set(self.names))
        for name in self.names:
            path = f"to/p/start-{name}" if name in "be" else f"p/start-{name}"
            yield self.to(path, self.row, meta={"of": (basket, {"row": name})})


class Catalogue(NotingSpider):
    """Passes one dict to all requests, which only read it."""

    name = "catalogue"
    custom_settings: ClassVar = {"CONCURRENT_REQUESTS": 2}
    count = 60

    async def start(self) -> AsyncIterator[Any]:
        yield self.to("p/root", self.root)

    def root(self, response: Any) -> Any:
        note("page root")
        terms = {"currency": "EUR", "tags": ["a"]}
        for number in range(self.count):
            yield self.to(f"p/{number}", self.offer, cb_kwargs={"terms": terms, "own": {"number": number}})

    def offer(self, response: Any, terms: dict[str, Any], own: dict[str, Any]) -> Any:
        note(f"page offer {own['number']}")
        may_end(f"offer {own['number']}")
        yield {"offer": own["number"], "currency": terms["currency"]}


class Accounts(NotingSpider):
    """Asks for one page as several accounts, which come out of sets: their order differs between processes."""

    name = "accounts"
    custom_settings: ClassVar = {"CONCURRENT_REQUESTS": 1, "COOKIES_ENABLED": False}

    async def start(self) -> AsyncIterator[Any]:
        for name in {"ada", "bea", "cleo", "dora", "edna"}:
            yield self.to("slow/30/home", self.home, meta={"cookiejar": name}, dont_filter=True)
            await asyncio.sleep(0.03)

    async def home(self, response: Any) -> Any:
        name = response.meta["cookiejar"]
        note(f"page {name}")
        may_end("home")
        yield {"account": name}
        for number in {"one", "two", "three", "four"}:
            kwargs = {"order": {"of": name, "numbers": {number, name, "x", "y"}}}
            yield self.to("p/order", self.order, cb_kwargs=kwargs, dont_filter=True)
            await asyncio.sleep(0.01)

    def order(self, response: Any, order: dict[str, Any]) -> Any:
        note(f"page {order['of']} {sorted(order['numbers'])}")
        may_end("order")
        yield {"order": sorted(order["numbers"]), "account": order["of"]}


class QuietFilter(RFPDupeFilter):
    """A filter of the project's own that does what Scrapy's does."""


class ByPath(RFPDupeFilter):
    """Takes two URLs that differ in their query for the same."""

    def request_seen(self, request: Any) -> bool:
        return super().request_seen(request.replace(url=request.url.partition("?")[0]))


class Links(NotingSpider):
    """A page with many links, some of them twice."""

    name = "links"
    custom_settings: ClassVar = {"DUPEFILTER_CLASS": QuietFilter, "CONCURRENT_REQUESTS": 4}

    async def start(self) -> AsyncIterator[Any]:
        yield self.to("p/root", self.root)

    async def root(self, response: Any) -> Any:
        note("page root")
        for number in range(60):
            yield self.to(f"p/link-{number}?from=root", self.link)
            if number % 5 == 0:
                yield self.to(f"p/link-{number // 2}?from=root", lambda response: self.link(response))
                await asyncio.sleep(0.01)
            may_end(f"link {number}")

    def link(self, response: Any) -> Any:
        name = response.url.rpartition("/")[2].partition("?")[0]
        note(f"page {name}")
        may_end(name)
        yield {"page": name}
        yield self.to(f"p/{name}?from={name}", self.link) if self.settings["BY_PATH"] else self.to("p/all", self.leaf)


class LinksByPath(Links):
    name = "links_by_path"
    custom_settings: ClassVar = {**Links.custom_settings, "DUPEFILTER_CLASS": ByPath, "BY_PATH": True}
