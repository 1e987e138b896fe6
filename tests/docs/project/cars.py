"""A crawl of sixty pages."""

import os
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import scrapy

from tests.support.probe import may_end, switched_on


class Cars(scrapy.Spider):
    name = "cars"

    async def start(self) -> AsyncIterator[Any]:
        for number in range(60):
            yield scrapy.Request(f"data:,{number}", dont_filter=True)

    def parse(self, response: Any) -> Iterator[Any]:
        may_end(response.text)
        if response.text == "30" and switched_on("wait"):
            time.sleep(900)
        yield {"page": int(response.text), "text": "x" * int(os.environ.get("WEIGHT", "10"))}
