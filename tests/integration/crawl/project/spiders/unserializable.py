"""Requests that have no stored form: they run from memory, as a part of the page that yielded them."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, ClassVar

from base import NotingSpider, page_of

from tests.support.probe import may_end, note, switched_on


class Live:
    """What cannot be stored, and not be pickled either."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lock = threading.Lock()


class Plain:
    """What can only be pickled."""

    def __init__(self, name: str) -> None:
        self.name = name


class Grumpy:
    """What does not even say properly that it cannot be pickled."""

    def __reduce__(self) -> Any:
        raise RuntimeError("leave me alone")


class Memory(NotingSpider):
    """Every way to make a request that runs from memory, and what comes of it."""

    name = "memory"

    async def start(self) -> AsyncIterator[Any]:
        yield self.to("p/start", lambda response: self.live(response))
        yield self.to("p/start-unfiltered", lambda response: self.live(response), dont_filter=True)
        yield self.to("p/mother", self.mother)
        yield {"item": "of start"}

    def mother(self, response: Any) -> Any:
        note("page mother")
        yield {"page": "mother"}
        yield self.to("p/stored", self.leaf)
        yield self.to("p/stored-unfiltered", self.leaf, dont_filter=True)
        yield self.to("slow/80/lambda", lambda response: self.live(response))
        for _ in range(2):
            yield self.to("slow/80/lambda-unfiltered", lambda response: self.live(response), dont_filter=True)
        yield self.to("slow/80/partial", partial(self.live))
        yield self.to("slow/80/meta", self.from_meta, meta={"loader": Live("meta")})
        yield self.to("slow/80/kwargs", self.from_kwargs, cb_kwargs={"live": Live("kwargs")})
        yield self.to("status/404/errback", self.leaf, errback=lambda failure: {"errback": "lambda"})
        yield self.to("in_turn/503,200/live", lambda response: self.live(response))
        yield self.to("to/p/live-redirected", lambda response: self.live(response))
        yield {"page": "mother", "last": True}

    def live(self, response: Any) -> Any:
        """In memory itself, with children that are not, and one that is."""
        name = page_of(response)
        note(f"page {name}")
        may_end(name)
        yield {"page": name}
        short = name.rpartition("/")[2]
        yield self.to(f"p/{short}/stored", self.leaf)
        yield self.to(f"p/{short}/stored-unfiltered", self.leaf, dont_filter=True)
        if "nested" not in name:
            yield self.to(f"slow/150/{short}-nested", lambda response: self.live(response), dont_filter=True)

    def from_meta(self, response: Any) -> Any:
        yield {"loader": response.meta["loader"].name}
        yield from self.leaf(response)

    def from_kwargs(self, response: Any, live: Live) -> Any:
        yield {"live": live.name}
        yield from self.leaf(response)


class ThreeLoaders(NotingSpider):
    """The same request without a stored form thrice; none at all when it is corrected."""

    name = "three_loaders"

    async def start(self) -> AsyncIterator[Any]:
        yield self.to("p/before", self.leaf)
        yield self.to("p/mother", self.mother)
        yield self.to("p/after", self.leaf)

    def mother(self, response: Any) -> Any:
        note("page mother")
        yield {"page": "mother"}
        yield self.to("p/stored", self.leaf)
        for number in range(3):
            loader = f"{number}" if switched_on("corrected") else Live(f"{number}")
            yield self.to(f"p/{number}", self.from_meta, meta={"deep": [{"loader": loader}]})
        callback = self.leaf if switched_on("corrected") else lambda response: self.leaf(response)
        yield self.to("p/lambda", callback)
        yield self.to("p/lambda-too", callback)

    def from_meta(self, response: Any) -> Any:
        loader = response.meta["deep"][0]["loader"]
        yield {"loader": getattr(loader, "name", loader)}
        yield from self.leaf(response)


class Pickled(NotingSpider):
    name = "pickled"
    custom_settings: ClassVar = {"CONCURRENT_REQUESTS": 1}

    async def start(self) -> AsyncIterator[Any]:
        for number in range(4):
            yield self.to(f"slow/80/{number}", self.parse, meta={"plain": Plain(f"{number}")}, dont_filter=True)

    def parse(self, response: Any) -> Any:
        yield {"plain": response.meta["plain"].name}
        yield from self.leaf(response)


class Unwilling(NotingSpider):
    name = "unwilling"

    async def start(self) -> AsyncIterator[Any]:
        for number in range(3):
            yield self.to(f"slow/80/{number}", self.leaf, meta={"grumpy": Grumpy()})
