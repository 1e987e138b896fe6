"""`scrapy crawl api`: the JSON API, from cursor to cursor."""

from collections.abc import Iterator
from typing import Any

from scrapy.http import TextResponse

from scrapy_t8.spiders import ListSpider


class ApiSpider(ListSpider):
    """Each answer leads to the next one. `-a limit=20` takes smaller steps."""

    name = "api"

    def __init__(self, base: str = "http://127.0.0.1:8017", limit: str = "50", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.list_url = f"{base}/api/cars?limit={limit}&cursor={{cursor}}"

    def parse_list(self, response: TextResponse) -> Iterator[Any]:
        yield from response.json()["cars"]

    def next_cursor(self, response: TextResponse) -> Any:
        return response.json()["next_cursor"]
