"""Spiders without a site. Some of their pages yield nothing until ``fixed`` is switched on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scrapy import Request, Spider
from scrapy.exceptions import DropItem

from scrapy_t8.spiders import DetailSpider, T8SpiderMixin
from tests.support.probe import switched_on

FIXED = switched_on("fixed")


class Choosy:
    def process_item(self, item: Any) -> Any:
        if item["id"] == "3" and not FIXED:
            raise DropItem("no threes")
        return item


class HealingSpider(T8SpiderMixin, Spider):
    name = "healing"

    async def start(self) -> Any:
        self.t8.expect("9", "10", source="list")
        for number in range(6):
            request = Request(f"data:,{number}", cb_kwargs={"pair": (1, 2)})
            yield self.t8.expect_from(request, number, "list")

    def parse(self, response: Any, pair: Any) -> Iterator[Any]:
        assert pair == (1, 2)
        with open("hits", "a", encoding="utf-8") as file:
            file.write(response.text + "\n")
        if response.text == "2" and not FIXED:
            raise ValueError("two")
        if response.text != "4" or FIXED:
            yield {"id": response.text}

    def t8_request_for(self, key: str) -> Request | None:
        return Request("data:,9", cb_kwargs={"pair": (1, 2)}) if key == "9" else None


class SlugsSpider(DetailSpider):
    name = "slugs"
    detail_url = "data:,{slug}"
    slugs = ("a", "b", "c")

    def parse_detail(self, response: Any, slug: str) -> Iterator[Any]:
        with open("hits", "a", encoding="utf-8") as file:
            file.write(response.text + "\n")
        if slug != "b" or FIXED:
            yield {"id": slug.upper()}


class MapSpider(Spider):
    name = "map"

    async def start(self) -> Any:
        for path in ("one", "two?b=1&a=2", "stranger"):
            yield Request(f"{self.site}/{path}")  # type: ignore[attr-defined]

    def parse(self, response: Any) -> Iterator[Any]:
        if "two" not in response.url:
            yield {"id": response.url}
