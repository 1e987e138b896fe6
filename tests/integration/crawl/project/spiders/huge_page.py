"""A page with more outputs than memory could hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, ClassVar

from base import NotingSpider
from scrapy import Request
from scrapy.exceptions import CloseSpider

from tests.support.probe import note, resident

OUTPUTS = 12_000
OFTEN = 100
"""Outputs between two looks at memory and event loop."""


class HugePage(NotingSpider):
    """Notes how much the process grows during one page, and for how many of its outputs the event loop stood still."""

    name = "huge_page"
    custom_settings: ClassVar = {"CONCURRENT_REQUESTS": 2}

    async def start(self) -> AsyncIterator[Any]:
        yield Request("data:,root", dont_filter=True)

    def parse(self, response: Any) -> Any:
        loop = asyncio.get_running_loop()
        before = peak = resident()
        standstill = longest = 0
        self._turned = True
        for number in range(OUTPUTS):
            yield self.to(f"slow/300/{number}", self.child, dont_filter=bool(number % 2))
            if number % OFTEN == 0:
                standstill = 0 if self._turned else standstill + OFTEN
                longest, peak = max(longest, standstill), max(peak, resident())
                if self._turned:
                    self._turned = False
                    loop.call_soon(self._turn)
        note(f"grown {peak - before}")
        note(f"standstill {longest}")
        raise CloseSpider("enough")

    def _turn(self) -> None:
        self._turned = True

    def child(self, response: Any) -> Any:
        yield {"page": "child"}
