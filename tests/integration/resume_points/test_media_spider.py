"""Pictures are stored once, and an item has all pictures that could be fetched."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from tests.support.crawl import Crawl

pytestmark = pytest.mark.slow
IMAGES = "scrapy.pipelines.images.ImagesPipeline"


def items(crawl: Crawl) -> dict[str, dict[str, Any]]:
    lines = [json.loads(line) for line in (crawl.work / "items.jsonl").read_text().splitlines()]
    assert len({item["slug"] for item in lines}) == len(lines)
    return {item["slug"]: item for item in lines}


def paths(crawl: Crawl) -> list[str]:
    return [hit.path for hit in crawl.site.hits]


def stored(crawl: Crawl) -> int:
    return len(list((crawl.work / "images/full").glob("*.jpg")))


def test_kills(crawl: Crawl) -> None:
    given = [f"car-{n}" for n in range(120)]
    (crawl.work / "slugs.txt").write_text("\n".join(given))
    settings = {"IMAGES_STORE": "images", "CONCURRENT_REQUESTS_PER_DOMAIN": 16}
    for hits in (60, 90, 70, 80, 50):
        crawl.killed_at(hits, "pictures", **settings)
        point = crawl.points().get(("DETAIL_COLLECTION", ""), {"last_slug": None})
        if point["last_slug"] is not None:
            assert set(given[: given.index(point["last_slug"]) + 1]) <= crawl.site.served("/car/")
    log = crawl.run("pictures", **settings).log
    assert "(finished)" in log
    found = items(crawl)
    assert set(found) == set(given)
    assert all(len(item["images"]) == item["media_total"] == 3 for item in found.values())
    assert stored(crawl) == 360
    served = Counter(hit.path for hit in crawl.site.hits if hit.status == 200)
    again = sum(count - 1 for count in served.values())
    assert again <= 5 * (16 + 60)  # in flight, and one commit interval
    point = crawl.points()["DETAIL_COLLECTION", ""]
    assert point["last_slug"] == given[-1]


def test_a_picture_that_is_gone(crawl: Crawl) -> None:
    (crawl.work / "slugs.txt").write_text("gone\nhere\n")
    settings = {"IMAGES_STORE": "images"}
    log = crawl.run("pictures", **settings).log
    found = items(crawl)
    assert (len(found["gone"]["images"]), found["gone"]["media_total"]) == (0, 3)
    assert len(found["here"]["images"]) == 3
    served = Counter(path for path in paths(crawl) if path.startswith("/car/"))
    assert served == {"/car/gone": 1, "/car/here": 1}
    assert "is given up; its item goes on without it" in log
    # What is stored is not fetched again by a later crawl.
    before = len([path for path in paths(crawl) if "here" in path])
    crawl.run("pictures", **{**settings, "T8_RESUME": "fresh"})
    again = [path for path in paths(crawl) if "here" in path][before:]
    assert again == ["/car/here"]


def test_a_file_that_is_no_picture(crawl: Crawl) -> None:
    (crawl.work / "slugs.txt").write_text("broken\n")
    kinds = '{"media": {"times": 2}}'
    log = crawl.run("pictures", IMAGES_STORE="images", T8_RETRY_KINDS=kinds).log
    assert "is not a file" in log
    assert (len(items(crawl)["broken"]["images"]), items(crawl)["broken"]["media_total"]) == (0, 3)


def test_the_pipeline_retries_pictures(crawl: Crawl) -> None:
    """The item goes on with what tmine is; the other pictures come later, without the page."""
    (crawl.work / "slugs.txt").write_text("mine\ngone-mine\n")
    settings = {
        "IMAGES_STORE": "images",
        "ITEM_PIPELINES": '{"scrapy_t8.pipelines.media.T8ImagesPipeline": 1}',
        "RETRY_ENABLED": "0",
        "T8_RETRY_KINDS": '{"media": {"times": 2}}',
    }
    log = crawl.run("plain", **settings).log
    assert "(finished)" in log
    found = items(crawl)
    assert (len(found["mine"]["images"]), found["mine"]["media_total"]) == (2, 3)
    assert stored(crawl) == 3
    assert crawl.letters() == {"media": 3}
    pages = Counter(path for path in paths(crawl) if path.startswith("/car/"))
    assert pages == {"/car/gone-mine": 1, "/car/mine": 1}
    assert "Retry succeeded: IMAGE_DOWNLOAD_" in log
