"""`scrapy crawl cars`: from the list pages of the catalogue to one item for each car."""

from collections.abc import Iterator

import scrapy
from scrapy.http import Response

from ..items import CarItem


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
        yield CarItem(
            slug=response.url.rpartition("/")[2],
            url=response.url,
            picture=response.urljoin(response.css("img::attr(src)").get("")),
            name=response.css("h1::text").get(""),
            year=int(_figure(response, "year")),
            origin=response.css("[itemprop=origin]::text").get(""),
            miles_per_gallon=_figure_or_none(response, "miles_per_gallon"),
            cylinders=int(_figure(response, "cylinders")),
            displacement=_figure(response, "displacement"),
            horsepower=_whole_or_none(_figure_or_none(response, "horsepower")),
            weight=int(_figure(response, "weight")),
            acceleration=_figure(response, "acceleration"),
        )


def _figure(response: Response, name: str) -> float:
    figure = _figure_or_none(response, name)
    if figure is None:
        raise ValueError(f"{response.url} does not say its {name}")
    return figure


def _figure_or_none(response: Response, name: str) -> float | None:
    text = response.css(f"data[itemprop={name}]::attr(value)").get()
    return None if text is None else float(text)


def _whole_or_none(figure: float | None) -> int | None:
    return None if figure is None else int(figure)
