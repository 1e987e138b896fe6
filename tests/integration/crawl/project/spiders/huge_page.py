"""A page with more outputs than memory could hold."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

from scrapy import Request
from scrapy.exceptions import CloseSpider

from ..aid import Scene, note

OUTPUTS = 300_000
BEAT = 0.01


class Million(Scene):
    """Notes how much the process grows while one page yields its outputs, and how long the event loop was held up."""

    name = "million"
    custom_settings: ClassVar = {"CONCURRENT_REQUESTS": 2}

    async def start(self) -> AsyncIterator[Any]:
        yield Request("data:,root", dont_filter=True)

    def parse(self, response: Any) -> Any:
        self._longest = 0.0
        heart = asyncio.ensure_future(self._beat())
        before = resident()
        for number in range(OUTPUTS):
            yield self.to(f"slow/300/{number}", self.child, dont_filter=bool(number % 2))
        note(f"grown {max(self._peak, resident()) - before}")
        note(f"longest {self._longest}")
        heart.cancel()
        raise CloseSpider("enough")

    def child(self, response: Any) -> Any:
        yield {"page": "child"}

    async def _beat(self) -> None:
        self._peak = 0
        while True:
            before = time.perf_counter()
            await asyncio.sleep(BEAT)
            self._longest = max(self._longest, time.perf_counter() - before - BEAT)
            self._peak = max(self._peak, resident())


def resident() -> int:
    """The memory that this process has, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
