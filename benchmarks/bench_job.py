"""A crawler for a job that a benchmark opens itself, without an engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scrapy import Spider
from scrapy.crawler import Crawler
from scrapy.utils.test import get_crawler


def new_crawler(directory: Path, spider: str, **settings: Any) -> Crawler:
    """Return a crawler whose job directory is *directory*."""
    crawler = get_crawler(Spider, {"JOBDIR": str(directory), **settings})
    crawler.spider = Spider(spider)
    crawler.spider.crawler = crawler
    return crawler
