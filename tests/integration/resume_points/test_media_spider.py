"""Pictures are stored once, and an item has all pictures that could be fetched."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from scrapy_t8 import LetterFilter, open_dead_letters, read_report
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
    assert crawl.letters() == {"http": 3}
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
    assert crawl.letters() == {"media": 3}
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
    assert "Retry succeeded: <GET" in log
    assert verdict(crawl) == ("incomplete", ["failure:media", "media"])


def revive(crawl: Crawl, count: int) -> None:
    with open_dead_letters(crawl.job) as letters:
        assert letters.revive(LetterFilter()) == count


def verdict(crawl: Crawl) -> tuple[str, list[str]]:
    """Return the verdict of the report, and the causes that are not accepted."""
    report = read_report(crawl.job)
    causes = report["without_result"]["causes"]
    return report["verdict"], [row["cause"] for row in causes if not row["accepted"]]


def test_files_by_relative_urls(crawl: Crawl) -> None:
    (crawl.work / "slugs.txt").write_text("a\nb\n")
    run = crawl.finished("photos", FILES_STORE="files")
    for slug, item in items(crawl).items():
        urls = [f"{crawl.site.url}/down/{slug}.txt", f"{crawl.site.url}/p/{slug}.txt"]
        assert item["file_urls"] == urls
        assert ([file["url"] for file in item["files"]], item["media_total"]) == (urls, 2)
    assert run.stats["t8/media/skipped"] == 2
    assert verdict(crawl) == ("complete", [])


@pytest.mark.parametrize("policy", ["last", "changed"])
def test_a_revived_file_reaches_its_item(crawl: Crawl, policy: str) -> None:
    (crawl.work / "slugs.txt").write_text("a\nb\nc\n")
    settings = {"FILES_STORE": "files", "T8_ITEM_KEY": "slug", "T8_DEDUP_POLICY": policy}
    crawl.site.set(down=2)
    crawl.run("photos", **settings, T8_RETRY_KINDS={"host": {"times": 0}})
    assert crawl.letters() == {"host": 2}
    assert sorted(len(item["files"]) for item in items(crawl).values()) == [1, 1, 2]
    assert verdict(crawl) == ("incomplete", ["status:503"])
    revive(crawl, 2)
    crawl.run("photos", **settings)
    last = {item["slug"]: len(item["files"]) for item in crawl.items}
    assert last == {"a": 2, "b": 2, "c": 2}
    assert len(crawl.items) == (5 if policy == "changed" else 3)
    assert verdict(crawl) == ("complete", [])
    assert crawl.values("slug").keys() == {"a", "b", "c"}


def test_without_a_key_an_item_stays_as_it_is(crawl: Crawl) -> None:
    (crawl.work / "slugs.txt").write_text("a\n")
    crawl.site.set(down=1)
    crawl.run("photos", FILES_STORE="files", T8_RETRY_KINDS={"host": {"times": 0}})
    revive(crawl, 1)
    run = crawl.run("photos", FILES_STORE="files")
    assert [len(item["files"]) for item in crawl.items] == [1]
    assert "has come, but its item was exported without it" in run.log
    assert verdict(crawl) == ("incomplete", ["media"])


def test_an_item_that_is_held_waits_for_its_files(crawl: Crawl) -> None:
    (crawl.work / "slugs.txt").write_text("a\nb\n")
    settings = {"FILES_STORE": "files", "media_incomplete": "hold", "T8_RESUME": "continue"}
    crawl.site.set(down=1)
    crawl.run("photos", **settings, T8_RETRY_KINDS={"host": {"times": 0}})
    assert (len(crawl.items), crawl.letters()) == (1, {"host": 1})
    assert verdict(crawl) == ("incomplete", ["status:503"])
    revive(crawl, 1)
    crawl.run("photos", **settings)
    assert {slug: len(item["files"]) for slug, item in items(crawl).items()} == {"a": 2, "b": 2}
    assert verdict(crawl) == ("complete", [])


@pytest.mark.parametrize(("slug", "cause"), [("gone", "status:404"), ("broken", "failure:media")])
def test_an_item_is_not_held_by_what_is_accepted(crawl: Crawl, slug: str, cause: str) -> None:
    (crawl.work / "slugs.txt").write_text(slug)
    kinds = {"media": {"times": 0}}
    settings = {"IMAGES_STORE": "images", "media_incomplete": "hold", "T8_ACCEPT": [cause], "T8_RETRY_KINDS": kinds}
    crawl.run("pictures", **settings)
    assert (crawl.values("slug"), crawl.letters()) == ({slug: 1}, {})
    assert verdict(crawl) == ("complete", [])


@pytest.mark.parametrize("how", ["of the spider", "of the settings"])
def test_files_that_an_own_pipeline_asks_for(crawl: Crawl, how: str) -> None:
    (crawl.work / "slugs.txt").write_text("a\nb\n")
    crawl.site.set(down=2)
    if how == "of the spider":
        crawl.finished("named", FILES_STORE="files")
    else:
        pipelines = {"ITEM_PIPELINES": {"spiders.NamingAgain": 1}, "RETRY_ENABLED": False}
        crawl.finished("slugs", FILES_STORE="files", **pipelines)
    assert crawl.values("slug") == Counter("ab")
    files = sorted(str(path.relative_to(crawl.work / "files")) for path in (crawl.work / "files").rglob("*.txt"))
    assert files == ["here/sku-a/a.txt", "here/sku-b/b.txt"]
    assert crawl.letters() == {}
    # The item of a pipeline has gone on before its file came.
    assert verdict(crawl) == (("complete", []) if how == "of the spider" else ("incomplete", ["media"]))


def test_what_becomes_of_incomplete_items_must_be_a_choice(crawl: Crawl) -> None:
    (crawl.work / "slugs.txt").write_text("a\n")
    run = crawl.run("photos", FILES_STORE="files", media_incomplete="drop")
    assert "media_incomplete is 'drop', but must be 'export' or 'hold'" in run.log
