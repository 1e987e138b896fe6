"""What the spiders here have in common: five lists with six entries each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from scrapy import Request, Spider
from scrapy.http import Response

from tests.support.probe import SITE, may_end, note

LISTS, ENTRIES = 5, 6


class ListsSpider(Spider):
    """A spider that notes each page that it processes. Each entry fails once, if its number is 5."""

    async def start(self) -> AsyncIterator[Any]:
        for number in range(LISTS):
            yield Request(f"{SITE}/p/{number}", self.parse_list)

    def parse_list(self, response: Response) -> Any:
        name = self.begin(response.url)
        for number in range(ENTRIES):
            kind = "flaky-1" if number == ENTRIES - 1 else "p"
            yield Request(f"{SITE}/{kind}/{name}-{number}", self.parse)

    def begin(self, url: str) -> str:
        """Note the page with this URL, and end the run there if the test says so. Return its name."""
        name = url.rpartition("/")[2]
        note(f"page {name}")
        may_end(name)
        return name

    def parse(self, response: Response) -> Any:
        yield {"name": self.begin(response.url)}
