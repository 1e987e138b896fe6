"""A crawl of sixty pages that stops where it is told to."""

import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

import scrapy


class Cars(scrapy.Spider):
    name = "cars"
    custom_settings: ClassVar[dict[str, Any]] = {
        "ADDONS": {"scrapy_t8.T8Addon": 500},
        "T8_COMMIT_INTERVAL": 0.01,
        "T8_ITEM_KEY": "page",
    }

    async def start(self) -> AsyncIterator[Any]:
        for number in range(60):
            yield scrapy.Request(f"data:,{number}", dont_filter=True)

    def parse(self, response: Any) -> Iterator[Any]:
        if response.text == os.environ.get("DIE_AT"):
            os.kill(os.getpid(), signal.SIGKILL)
        if response.text == os.environ.get("WAIT_AT"):
            time.sleep(60)
        yield {"page": int(response.text), "text": "x" * int(os.environ.get("WEIGHT", "10"))}
