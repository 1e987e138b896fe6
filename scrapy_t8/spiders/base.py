"""The mixin that gives a spider ``self.t8``, and what the base spiders share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from functools import cached_property
from typing import Any

from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.utils.asyncgen import as_async_generator
from scrapy.utils.misc import arg_to_iter

from .handle import JobHandle


class T8SpiderMixin:
    """Gives any spider ``self.t8``."""

    crawler: Crawler

    @cached_property
    def t8(self) -> JobHandle:
        """Resume points, retries and expectations of this crawl."""
        return JobHandle(self.crawler)

    async def lazily(self, requests: Iterable[Request]) -> AsyncIterator[Request]:
        """Yield *requests* in :meth:`start` as the scheduler runs out. Scrapy alone would take all of them at once."""
        ahead = 2 * self.crawler.settings.getint("CONCURRENT_REQUESTS")
        for number, request in enumerate(requests, 1):
            yield request
            if number % ahead == 0:
                await self.crawler.signals.wait_for(signals.scheduler_empty)


async def outputs(result: Any) -> AsyncIterator[Any]:
    """Yield the outputs of a callback: *result* is None, one output, an iterable, a coroutine or an async generator."""
    if hasattr(result, "__await__"):
        result = await result
    if not hasattr(result, "__aiter__"):
        result = arg_to_iter(result)
    async for output in as_async_generator(result):
        yield output
