"""List spiders under kills: every page once, and resume points that are never ahead."""

from __future__ import annotations

import pytest

from .harness import Crawl, cars

pytestmark = pytest.mark.slow
SPIDERS = {"pages": "page=", "known": "page=", "cursors": "after="}


def low_water(crawl: Crawl, spider: str, tag: str) -> int:
    """The highest page with all before it served, by the site's own log."""
    path = f"/api/{tag}?after=" if spider == "cursors" else f"/list/{tag}?page="
    served = crawl.served(path)
    pages = {int(key or 0) + 1 for key in served} if spider == "cursors" else {int(key) for key in served}
    low = 0
    while low + 1 in pages:
        low += 1
    return low


def check_points(crawl: Crawl, spider: str) -> None:
    for (task_type, tag), point in crawl.points().items():
        assert task_type == "LIST_COLLECTION"
        assert point["current_page"] <= low_water(crawl, spider, tag), (tag, point)
        assert point["metadata"]["tag"] == tag


@pytest.mark.parametrize("waits_for", ["admission", "details"])
@pytest.mark.parametrize("spider", SPIDERS)
def test_kills(crawl: Crawl, spider: str, waits_for: str) -> None:
    settings = {"T8_CURSOR_WAITS_FOR": waits_for}
    for after in (0.4, 0.2, 0.5, 0.3, 0.6):
        crawl.killed(after, spider, settings=settings)
        check_points(crawl, spider)
    log = crawl.run(spider, settings=settings)
    assert "(finished)" in log
    assert crawl.items == cars("red", "blue")
    check_points(crawl, spider)
    last = 40 if spider != "pages" else 41
    assert {name: point["current_page"] for (_, name), point in crawl.points().items()} == {"red": last, "blue": last}
    assert {point["total_processed"] for point in crawl.points().values()} == {200}
