"""What the tests here expect of a list, and how they set a resume point by hand."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from scrapy_t8.model.batch import PointRecord
from scrapy_t8.stores.sqlite.store import SQLiteStore
from tests.support.crawl import Crawl
from tests.support.pages import PAGES, PER_PAGE


def cars(*tags: str, pages: int = PAGES) -> Counter[str]:
    """Return the slugs on the first pages of some lists."""
    return Counter(f"{tag}-{page}-{n}" for tag in tags for page in range(1, pages + 1) for n in range(PER_PAGE))


def put_point(crawl: Crawl, task_type: str, name: str, **fields: Any) -> None:
    """Set a resume point before the crawl."""
    point = {
        "task_type": task_type,
        "current_page": 0,
        "last_cursor": None,
        "last_slug": None,
        "total_processed": 0,
        "last_update": "2026-01-01T00:00:00",
        "metadata": {},
        **fields,
    }
    store = SQLiteStore(crawl.job / "t8")
    store.open()
    store.points.put(PointRecord(task_type, name, 0.0, json.dumps(point)))
    store.close()
