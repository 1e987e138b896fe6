"""`scrapy crawl cars`: from the list pages of the catalogue to one item for each car."""

from collections.abc import Iterator

import scrapy
from scrapy.http import Response

from ..items import CarItem
from ..reading import car_of


class CarsSpider(scrapy.Spider):
    """Crawl the catalogue at `base`: `scrapy crawl cars -a base=http://127.0.0.1:8017`."""

    name = "cars"

    def __init__(self, base: str = "http://127.0.0.1:8017", **kwargs: str) -> None:
        super().__init__(**kwargs)
        self.start_urls = [f"{base.rstrip('/')}/"]

    def parse(self, response: Response) -> Iterator[scrapy.Request]:
        """A list page: its cars, then the next list page."""
        yield from response.follow_all(response.css("li.car a::attr(href)").getall(), self.parse_car)
        yield from response.follow_all(response.css("a[rel=next]::attr(href)").getall())

    def parse_car(self, response: Response) -> Iterator[CarItem]:
        """A detail page: one car."""
        yield car_of(response)
