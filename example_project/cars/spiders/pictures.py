"""`scrapy crawl pictures`: the cars with their pictures, stored in the folder `pictures`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scrapy.http import Response

from scrapy_t8.spiders import MediaSpider


class PicturesSpider(MediaSpider):
    """An item is written when its picture is there, or was given up."""

    name = "pictures"
    slug_file = Path(__file__).parents[2] / "slugs.txt"
    custom_settings = {"FILES_STORE": "pictures"}  # noqa: RUF012

    def __init__(self, base: str = "http://127.0.0.1:8017", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.detail_url = base + "/cars/{slug}"

    def parse_detail(self, response: Response, slug: str) -> Iterator[dict[str, Any]]:
        yield {"slug": slug, "image_urls": [response.urljoin(response.css("img::attr(src)").get(""))]}
