"""A spider of pages that fail in many ways."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from scrapy import Request, Spider, signals
from scrapy.exceptions import DropItem
from scrapy.extensions.closespider import CloseSpider

from scrapy_t8 import RetryPage
from tests.support.probe import SITE, note, switched_on


def no_captcha(response: Any) -> str | None:
    """A response check."""
    return "captcha" if b"human" in response.body else None


def handled(target: str, metadata: dict[str, Any]) -> bool:
    """A retry handler: succeeds at the second try, and writes its calls down."""
    with open("handled.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps([target, metadata["attempt"]]) + "\n")
    return int(metadata["attempt"]) > 1


def hangs(target: str, metadata: dict[str, Any]) -> bool:
    """A retry handler that gives no answer."""
    time.sleep(900)
    return True


async def hangs_async(target: str, metadata: dict[str, Any]) -> bool:
    """The same, as a coroutine."""
    await asyncio.sleep(900)
    return True


def crashes(target: str, metadata: dict[str, Any]) -> bool:
    """A retry handler with a bug."""
    raise KeyError(target)


class Pipeline:
    """Raises an exception for an item, if ``choke`` is switched on; for the first items, if ``away`` is."""

    failures = 0

    def process_item(self, item: Any) -> Any:
        if switched_on("away") and self.failures < 16:
            self.failures += 1
            raise ConnectionRefusedError("the database is away")
        if item["path"].endswith("/choke") and switched_on("choke"):
            raise ValueError("the pipeline chokes")
        if item["path"].endswith("/drop"):
            raise DropItem("not wanted")
        return item


class StrangeError(Exception):
    """An error that Scrapy does not know."""


class Strange:
    """A downloader middleware that fails twice with some pages, before or after their download."""

    def __init__(self) -> None:
        self._calls: Counter[str] = Counter()

    def process_request(self, request: Any) -> None:
        self._fail(request, "/before")

    def process_response(self, request: Any, response: Any) -> Any:
        self._fail(request, "/after")
        return response

    def _fail(self, request: Any, end: str) -> None:
        if request.url.endswith(end):
            self._calls[request.url] += 1
            if self._calls[request.url] <= 2:
                raise StrangeError("for no reason")


class FailingSpider(Spider):
    name = "failing"
    site = SITE

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.t8_response_checks = [no_captcha] if switched_on("check in spider") else []
        self.t8_retry_handlers = {"BY_HAND": handled} if switched_on("handler in spider") else {}

    @classmethod
    def from_crawler(cls, crawler: Any, *args: Any, **kwargs: Any) -> Any:
        spider = super().from_crawler(crawler, *args, **kwargs)
        crawler.signals.connect(spider.idle, signals.spider_idle)
        return spider

    def idle(self) -> None:
        """Note whether the clock of CLOSESPIDER_TIMEOUT_NO_ITEM runs, when all handlers of the signal have run."""
        clock = getattr(self.crawler.get_extension(CloseSpider), "task_no_item", None)
        if clock is not None:
            words = {True: "the clock runs", False: "the clock stands"}
            asyncio.get_running_loop().call_soon(lambda: note(words[clock.running]))

    async def start(self) -> Any:
        """Every page is asked for once."""
        for path in self.paths.split(","):
            meta: dict[str, Any] = {"t8_task_type": "BY_HAND"} if path.endswith("/by-hand") else {}
            if switched_on("check in meta"):
                meta["t8_response_checks"] = ["failing.no_captcha"]
            live = path.endswith("/live")
            yield Request(f"{self.site}/{path}", (lambda page: self.parse(page)) if live else self.parse, meta=meta)

    def parse(self, response: Any) -> Iterator[Any]:
        path = response.url.removeprefix(self.site)
        if self.settings.getbool("NO_ITEMS"):
            return
        yield {"path": path}
        if path.endswith("/bug") and switched_on("bug"):
            raise ValueError("a bug")
        if path.endswith("/never"):
            raise RetryPage("never complete", delay=0.1)
        if path.endswith("/again") and response.meta.get("retry_times", 0) < 2:
            raise RetryPage("not complete", delay=0.1)
        yield {"path": path + "#second"}
