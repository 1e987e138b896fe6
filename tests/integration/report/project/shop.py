"""The spider of the shop, which says what it expects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scrapy import Request, Spider
from scrapy.exceptions import DropItem

from scrapy_t8.spiders import T8SpiderMixin


class Choosy:
    """The pipeline of the shop."""

    def process_item(self, item: Any) -> Any:
        if item["id"] == "cheap":
            raise DropItem(f"too cheap: {item['title']}")
        if item["id"] == "choke":
            raise ValueError("it chokes")
        return item


class ShopSpider(T8SpiderMixin, Spider):
    name = "shop"
    site: str

    async def start(self) -> Any:
        yield Request(f"{self.site}/list/0", self.parse_list)

    def parse_list(self, response: Any) -> Iterator[Request]:
        listing, name = response.json(), response.url.rpartition("/")[2]
        for key, url in listing["links"].items():
            yield self.t8.expect_from(response.follow(url, self.parse_car, cb_kwargs={"key": key}), key, name)
        self.t8.expect(*listing["more"], source=name)
        if listing["total"] is not None:
            self.t8.expect_total(listing["total"], name)
        if listing["next"]:
            yield response.follow(listing["next"], self.parse_list)

    def parse_car(self, response: Any, key: str) -> Iterator[Any]:
        title = response.css("h1::text").get()
        if title is not None:
            price = {"price": response.css("b.price::text").get()}
            if price["price"] is None:
                del price["price"]
            yield {"id": key, "title": title, "price": price["price"]}
