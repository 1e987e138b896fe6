"""Detail spiders request every slug once, from a file, a list or a query."""

from __future__ import annotations

import json
import os
from collections import Counter
from urllib.parse import unquote

import pytest

from tests.support import ledger
from tests.support.crawl import Crawl

from .points import put_point

pytestmark = pytest.mark.slow
COUNT = int(os.environ.get("SLUGS", "800"))
"""Slugs under kills. The figure that is promised is 100,000; it takes a while."""


def slugs(count: int) -> list[str]:
    return [f"car-{n:06}" + ("-bad" if n % 200 == 7 else "") for n in range(count)]


def check_point(crawl: Crawl, given: list[str]) -> int:
    point = crawl.points().get(("DETAIL_COLLECTION", ""))
    if point is None or point["last_slug"] is None:
        return 0
    served = crawl.site.served("/car/")
    low = next((n for n, slug in enumerate(given) if slug not in served), len(given))
    assert given.index(point["last_slug"]) + 1 <= low
    return given.index(point["last_slug"]) + 1


def test_kills(crawl: Crawl) -> None:
    crawl.site.set(delay=0)
    given = slugs(COUNT)
    (crawl.work / "slugs.txt").write_text("\n".join(given) + "\n")
    settings = {"CONCURRENT_REQUESTS_PER_DOMAIN": 16}
    for part in (0.8, 1, 0.6, 1.1, 0.9):
        crawl.killed_at(round(part * COUNT / 7), "slugs", **settings)
        check_point(crawl, given)
    log = crawl.run("slugs", **settings).log
    assert "(finished)" in log
    assert crawl.values("slug") == Counter(given)
    assert check_point(crawl, given) == COUNT
    assert crawl.points()["DETAIL_COLLECTION", ""]["total_processed"] == COUNT


def test_a_slug_that_keeps_failing_holds_the_point(crawl: Crawl) -> None:
    given = ["a", "b", "c-bad", *(f"x{n}" for n in range(100))]
    (crawl.work / "slugs.txt").write_text("\n".join(given))

    def point() -> tuple[str, bool]:
        rows = ledger.live(crawl.state_file, "SELECT record FROM point")
        found = json.loads(rows[0][0]) if rows else {"last_slug": "", "total_processed": 0}
        return found["last_slug"], found["total_processed"] > 50

    run = crawl.start("slugs", T8_RETRY_BASE=1800, T8_RETRY_CAP=1800)
    run.until(lambda: point()[1], "more than 50 slugs").kill()
    assert point() == ("b", True)
    crawl.run("slugs", T8_RETRY_KINDS={"host": {"times": 0}}, switch="an hour later")
    # It was given up: that is an end as well.
    assert crawl.values("slug") == Counter(given) - Counter(["c-bad"])
    assert crawl.points()["DETAIL_COLLECTION", ""]["last_slug"] == "x99"


@pytest.mark.parametrize("how", ["slugs", "listed", "queried"])
def test_added_slugs_are_crawled_by_the_next_run(crawl: Crawl, how: str) -> None:
    def run(given: list[str]) -> str:
        if how == "slugs":
            (crawl.work / "slugs.txt").write_text("\n".join(given) + "\n")
            return crawl.run("slugs").log
        # Another argument would be another crawl.
        return crawl.run(how, given=",".join(given), T8_RESUME="continue").log

    run(["a", "b", "c"])
    assert crawl.values("slug") == Counter("abc")
    run(["a", "b", "c", "d", "e"])
    assert crawl.values("slug") == Counter("abcde")
    assert crawl.points()["DETAIL_COLLECTION", ""]["last_slug"] == "e"
    log = run(["a", "b", "c", "d", "e"])
    assert "All slugs (5) are done" in log
    assert crawl.values("slug") == Counter("abcde")
    assert len(crawl.site.hits) == 5


def test_changed_slugs_are_crawled_again(crawl: Crawl) -> None:
    (crawl.work / "slugs.txt").write_text("a\nb\nc\n")
    crawl.run("slugs")
    (crawl.work / "slugs.txt").write_text("x\na\nb\nc\n")
    log = crawl.run("slugs").log
    assert "The list of slugs has changed before the last one that was requested ('c')" in log
    assert crawl.values("slug") == Counter("abcxabc")


def test_fresh_crawls_all_slugs_again(crawl: Crawl) -> None:
    (crawl.work / "slugs.txt").write_text("a\nb\n")
    crawl.run("slugs")
    crawl.run("slugs", T8_RESUME="fresh")
    assert crawl.values("slug") == Counter("aabb")


def test_duplicate_slugs(crawl: Crawl) -> None:
    (crawl.work / "slugs.txt").write_text("a\nb\na\n\nc\n\n")
    log = crawl.run("slugs").log
    assert "was already requested in DETAIL_COLLECTION" in log
    assert crawl.values("slug") == Counter("abc")
    point = crawl.points()["DETAIL_COLLECTION", ""]
    assert (point["last_slug"], point["total_processed"]) == ("c", 3)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_slugs_of_another_program(crawl: Crawl, encoding: str) -> None:
    """A byte order mark and the line ends of Windows belong to no slug; nor does a slug end at a ``?`` or a ``#``."""
    given = ["first", "who? me", "f#sharp", "f#", "100%", "größe", *(f"x{n}" for n in range(60))]
    crawl.work.joinpath("slugs.txt").write_bytes("\r\n".join(given).encode(encoding))
    crawl.killed_at(20, "slugs")
    log = crawl.finished("slugs").log
    assert "has changed" not in log
    assert crawl.values("slug") == Counter(given)
    crawl.work.joinpath("slugs.txt").write_bytes("\r\n".join([*given, "added"]).encode(encoding))
    crawl.finished("slugs")
    assert crawl.values("slug") == Counter([*given, "added"])
    served = {unquote(hit.path) for hit in crawl.site.hits}
    assert served == {f"/car/{slug}" for slug in [*given, "added"]}


def test_slugs_in_no_encoding(crawl: Crawl) -> None:
    crawl.work.joinpath("slugs.txt").write_bytes("a\n\nma\xdf\nb\nFu\xdf\n".encode("latin-1"))
    log = crawl.run("slugs").log
    assert log.count("slugs.txt is not in UTF-8: line 3 is 'ma\\\\udcdf'") == 1


@pytest.mark.parametrize("how", ["slugs", "listed"])
def test_no_slugs(crawl: Crawl, how: str) -> None:
    (crawl.work / "slugs.txt").write_text("")
    log = crawl.run(how).log
    assert "The spider has no slugs: nothing to do" in log
    assert "(finished)" in log


def test_no_file(crawl: Crawl) -> None:
    log = crawl.run("slugs", file="nowhere.txt").log
    assert "nowhere.txt" in log
    assert "Traceback" not in log


@pytest.mark.parametrize("how", ["slugs", "listed"])
def test_slugs_start_after_a_given_one(crawl: Crawl, how: str) -> None:
    (crawl.work / "slugs.txt").write_text("a\nb\nc\nd\n")
    put_point(crawl, "DETAIL_COLLECTION", "", last_slug="b")
    crawl.run(how, **({"given": "a,b,c,d"} if how == "listed" else {}))
    assert crawl.values("slug") == Counter("cd")
    assert crawl.points()["DETAIL_COLLECTION", ""]["last_slug"] == "d"


def test_a_resume_point_with_an_unknown_slug(crawl: Crawl) -> None:
    (crawl.work / "slugs.txt").write_text("a\nb\n")
    put_point(crawl, "DETAIL_COLLECTION", "", last_slug="nowhere")
    log = crawl.run("slugs").log
    assert "The list of slugs has changed before the last one that was requested ('nowhere')" in log
    assert crawl.values("slug") == Counter("ab")
