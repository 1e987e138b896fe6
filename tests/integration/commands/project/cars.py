"""A spider of cars: lists lead to cars, of which one is gone, one breaks the callback and one fails for a while."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from scrapy import Request, Spider

from scrapy_t8.spiders import T8SpiderMixin
from tests.support.probe import SITE

LISTS, CARS = 6, 8
EVIL = "\x1b[31mred\x1b[0m [bold]loud[/bold] token=hunter2\nsecond line"
"""What an error may quote: it must do nothing to a terminal."""
ODD = {
    (5, 7): "status/404/gone?token=hunter2",
    (5, 6): "p/breaks",
    (5, 5): "in_turn/503,503,503,503/later",
}


class CarsSpider(T8SpiderMixin, Spider):
    name = "cars"
    site = SITE
    gate = ""
    """A file without which the cars of the first lists do not get through."""

    async def start(self) -> Any:
        for number in range(LISTS):
            yield Request(f"{self.site}/p/list-{number}", self.parse_list, cb_kwargs={"number": number})

    def parse_list(self, response: Any, number: int) -> Iterator[Request]:
        self.t8.save_point("LIST_COLLECTION", current_page=number + 1, metadata={"tag": "汽车交通"})
        for car in range(CARS):
            page = ODD.get((number, car), f"p/car-{number}-{car}")
            request = Request(f"{self.site}/{page}", self.parse_car, headers={"Authorization": "Basic hunter2"})
            yield self.t8.expect_from(request, f"car-{number}-{car}", "lists")

    async def parse_car(self, response: Any) -> AsyncIterator[Any]:
        while (
            self.gate and any(f"/car-{number}-" in response.url for number in range(3)) and not Path(self.gate).exists()
        ):
            await asyncio.sleep(0.02)
        if "breaks" in response.url:
            raise ValueError(EVIL)
        yield {"id": response.url.rpartition("/")[2], "title": response.text}
