"""`scrapy crawl slugs`: the cars of a file of slugs. Add lines to it, and the next run takes them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scrapy.http import Response

from scrapy_t8.spiders import DetailSpider

from ..items import CarItem
from ..reading import car_of


class SlugsSpider(DetailSpider):
    """Another file: `scrapy crawl slugs -a slug_file=mine.txt`."""

    name = "slugs"
    slug_file = Path(__file__).parents[2] / "slugs.txt"

    def __init__(self, base: str = "http://127.0.0.1:8017", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.detail_url = base + "/cars/{slug}"

    def parse_detail(self, response: Response, slug: str) -> Iterator[CarItem]:
        yield car_of(response)
