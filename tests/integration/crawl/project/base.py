"""What the spiders here have in common: a name for each page, and a note of what was done."""

from __future__ import annotations

from typing import Any

from scrapy import Request, Spider
from scrapy.core.engine import ExecutionEngine
from scrapy.http import Response

from tests.support.probe import SITE, may_end, note, switched_on

if switched_on("no heartbeat"):
    ExecutionEngine._SLOT_HEARTBEAT_INTERVAL = 1e6


def page_of(response: Response) -> str:
    """Return the path of a page, less the prefix of the site."""
    return response.url.removeprefix(SITE).lstrip("/")


class NotingSpider(Spider):
    """A spider that notes each page that it processes."""

    def to(self, path: str, callback: Any = None, **kwargs: Any) -> Request:
        """Return a request for a page of the site."""
        return Request(f"{SITE}/{path}", callback, **kwargs)

    def leaf(self, response: Response) -> Any:
        """A page with one item and no requests."""
        name = page_of(response)
        note(f"page {name}")
        may_end(name)
        yield {"page": name}
