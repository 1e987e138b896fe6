"""`scrapy crawl pages`: the list pages by number, each with a resume point that can be seen and set."""

from collections.abc import Iterator
from typing import Any

from scrapy.http import Response

from scrapy_t8.spiders import ListSpider

from ..items import CarItem
from ..reading import car_of


class PagesSpider(ListSpider):
    """The first page says how many there are: all are asked for at once."""

    name = "pages"

    def __init__(self, base: str = "http://127.0.0.1:8017", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.list_url = base + "/?page={page}"

    def find_last_page(self, response: Response) -> int:
        return int(response.css("h1::text").re_first(r"page \d+ of (\d+)") or 1)

    def parse_list(self, response: Response) -> Iterator[Any]:
        yield from response.follow_all(response.css("li.car a::attr(href)").getall(), self.parse_car)

    def parse_car(self, response: Response) -> Iterator[CarItem]:
        yield car_of(response)
