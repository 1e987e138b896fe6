"""What the base spiders have in common."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from functools import cached_property
from typing import Any

from scrapy.crawler import Crawler
from scrapy.utils.asyncgen import as_async_generator
from scrapy.utils.misc import arg_to_iter

from .handle import Handle

logger = logging.getLogger("T8ResumeAndRetry")


class T8SpiderMixin:
    """Gives a spider ``self.t8``."""

    crawler: Crawler

    @cached_property
    def t8(self) -> Handle:
        """Resume points, retries and expectations of this crawl."""
        return Handle(self.crawler)


async def outputs(result: Any) -> AsyncIterator[Any]:
    """What a callback gives, whatever its form: nothing, one output, an iterable, a coroutine, an async generator."""
    if hasattr(result, "__await__"):
        result = await result
    if not hasattr(result, "__aiter__"):
        result = arg_to_iter(result)
    async for output in as_async_generator(result):
        yield output
