"""A spider that asks for the paths that it is given."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from scrapy import Request, Spider

from scrapy_t8.components.extensions import spiderstate
from tests.support.probe import SITE, may_end

spiderstate.REST = 0  # every commit has the state, however long it took to store the last one


class Slow:
    """A pipeline that takes a while."""

    async def process_item(self, item: Any) -> Any:
        await asyncio.sleep(0.1)
        return item


class Asking(Spider):
    """Asks for the paths that it is given, and counts its pages in ``spider.state``."""

    name = "asking"

    def __init__(self, paths: str = "", jar: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.paths, self.jar = paths.split(","), jar

    async def start(self) -> Any:
        for number, path in enumerate(self.paths):
            yield Request(f"{SITE}/{path}", meta={"cookiejar": self.jar} if self.jar else {}, priority=-number)

    def parse(self, response: Any) -> Iterator[Any]:
        may_end("page")
        path = response.url.removeprefix(SITE)
        state = self.state
        state["pages"] = state.get("pages", 0) + 1
        state.setdefault("seen", set()).add(path)
        if path.startswith("/car/odd"):
            state["odd"] = lambda: None
        if "visit" in path:
            yield {"slug": path, "cookies": response.json()}
        else:
            yield {"slug": path}

    def closed(self, reason: str) -> None:
        self.crawler.stats.set_value("pages", self.state.get("pages"))
