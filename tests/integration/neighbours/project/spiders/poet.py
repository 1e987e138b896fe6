"""A page object of web-poet, which makes a second download, stands between response and item."""

from collections.abc import AsyncIterator
from typing import Any

import attrs
from scrapy_poet import DummyResponse
from web_poet import HttpClient, WebPage, field

from tests.support.probe import SITE

from .base import ListsSpider


@attrs.define
class EntryPage(WebPage[dict[str, Any]]):
    """An entry, whose price is on a page of its own."""

    http: HttpClient

    @field
    def name(self) -> str:
        return str(self.response.url).rpartition("/")[2]

    @field
    async def price(self) -> int:
        answer = await self.http.get(f"{SITE}/p/price-{self.name}")
        return len(answer.text)


class PoetSpider(ListsSpider):
    """The injected page is the only thing that the callback needs: the response is a dummy."""

    name = "poet"

    async def parse(self, response: DummyResponse, page: EntryPage) -> AsyncIterator[Any]:
        item = await page.to_item()
        self.begin(response.url)
        yield item
