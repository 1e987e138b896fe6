"""Crawls with a Scrapy whose engine works in another way."""

from __future__ import annotations

import sys
from typing import Any

from scrapy.cmdline import execute
from scrapy.core.engine import ExecutionEngine


def another_name(self: Any, result: Any, request: Any) -> Any:
    """What ``_handle_downloader_output`` is called, in the Scrapy of some later day."""


if __name__ == "__main__":
    del ExecutionEngine._handle_downloader_output
    ExecutionEngine._another_name = another_name
    execute(["scrapy", "crawl", *sys.argv[1:]])
