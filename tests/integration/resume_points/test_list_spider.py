"""List spiders under kills: every page once, and resume points that are never ahead."""

from __future__ import annotations

import pytest

from tests.support.crawl import Crawl
from tests.support.pages import PAGES, PER_PAGE

from .points import cars, put_point

pytestmark = pytest.mark.slow
SPIDERS = {"pages": "page=", "known": "page=", "cursors": "after="}


def low_water(crawl: Crawl, spider: str, tag: str) -> int:
    """The highest page with all before it served, by the site's own log."""
    path = f"/api/{tag}?after=" if spider == "cursors" else f"/list/{tag}?page="
    served = crawl.site.served(path)
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
    crawl.site.set(delay=0.05)
    for hits in (30, 15, 35, 20, 40):
        crawl.killed_at(hits, spider, **settings)
        check_points(crawl, spider)
    log = crawl.run(spider, **settings).log
    assert "(finished)" in log
    assert crawl.values("slug") == cars("red", "blue")
    check_points(crawl, spider)
    assert {name: point["current_page"] for (_, name), point in crawl.points().items()} == {"red": PAGES, "blue": PAGES}
    assert {point["total_processed"] for point in crawl.points().values()} == {PAGES * PER_PAGE}


def test_kills_of_a_spider_that_saves_its_points_itself(crawl: Crawl) -> None:
    """Its pages settle in any order, and the seventh late."""
    crawl.site.set(delay=0.05)
    for hits in (15, 20, 20):
        crawl.killed_at(hits, "mixed")
        check_points(crawl, "mixed")
    crawl.run("mixed")
    assert crawl.values("slug") == cars("red")
    assert crawl.points()["LIST_COLLECTION", "red"]["current_page"] == PAGES
    expected = {key for (key,) in crawl.query("SELECT text FROM expected WHERE sources = 'list'")}
    assert expected == {f"{crawl.site.url}/car/{slug}" for slug in cars("red")}


@pytest.mark.parametrize(
    ("beyond", "message"), [("", "is empty"), ("jump", "has the content of"), ("gone", "is empty")]
)
def test_a_resume_point_beyond_the_end(crawl: Crawl, beyond: str, message: str) -> None:
    if beyond:
        crawl.site.set(**{beyond: 1})
    put_point(crawl, "LIST_COLLECTION", "red", current_page=29)
    log = crawl.run("pages", tags="red").log
    assert "goes on at page 30" in log
    if beyond == "jump":
        # The first page is what came. That it was not asked for shows with the next one.
        assert "cannot go on at its resume point: page 31 has the content of page 30" in log
    else:
        assert f"cannot go on at its resume point: page 30 {message}. Starting again at page 1" in log
    assert crawl.values("slug") == cars("red")


def test_a_list_starts_at_a_given_resume_point(crawl: Crawl) -> None:
    put_point(crawl, "LIST_COLLECTION", "red", current_page=15)
    crawl.run("pages", tags="red")
    assert crawl.values("slug") == cars("red") - cars("red", pages=15)
    assert crawl.points()["LIST_COLLECTION", "red"]["current_page"] == PAGES


def test_a_list_starts_at_a_given_cursor(crawl: Crawl) -> None:
    put_point(crawl, "LIST_COLLECTION", "red", current_page=15, last_cursor="15")
    crawl.run("cursors", tags="red")
    assert crawl.values("slug") == cars("red") - cars("red", pages=15)


def test_a_page_without_its_cursor_begins_again(crawl: Crawl) -> None:
    put_point(crawl, "LIST_COLLECTION", "red", current_page=15)
    log = crawl.run("cursors", tags="red").log
    assert "has no cursor for page 16: starting at its first page" in log
    assert crawl.values("slug") == cars("red")


@pytest.mark.parametrize(
    ("field", "value"),
    [("current_page", "many"), ("current_page", -3), ("last_cursor", 7), ("metadata", "x"), ("last_update", "soon")],
)
def test_an_invalid_resume_point(crawl: Crawl, field: str, value: object) -> None:
    crawl.site.set(pages=3)
    put_point(crawl, "LIST_COLLECTION", "red", **{field: value})
    log = crawl.run("pages", tags="red").log
    assert "The resume point LIST_COLLECTION red cannot be read and begins anew" in log
    assert field in log
    assert crawl.values("slug") == cars("red", pages=3)


@pytest.mark.parametrize(
    ("shift", "message"), [(3, "has shrunk from 100 to 97"), (-2, "has shifted: 2 entries of page")]
)
def test_a_list_that_changes_while_it_is_crawled(crawl: Crawl, shift: int, message: str) -> None:
    """Entries that slip to an earlier page are not missed, and those that come again not taken twice."""
    # The seventh page fails three times.
    twelve_pages = crawl.site.alarm(15)
    run = crawl.start("moving", tags="red").until(twelve_pages.is_set, "twelve pages")
    crawl.site.set(shift=shift)
    crawl.site.go_on()
    assert message in run.wait().log
    assert crawl.values("slug") == cars("red")


def test_links_from_page_to_page(crawl: Crawl) -> None:
    crawl.killed_at(20, "linked", tags="red")
    check_points(crawl, "linked")
    crawl.run("linked", tags="red")
    assert crawl.values("slug") == cars("red")
    assert crawl.points()["LIST_COLLECTION", "red"]["current_page"] == PAGES


@pytest.mark.parametrize("spider", ["pages", "cursors"])
def test_a_list_that_starts_over_after_its_last_page(crawl: Crawl, spider: str) -> None:
    crawl.site.set(around=4)
    log = crawl.run(spider, tags="red").log
    assert "has ended: page 5 has the content of" in log
    assert crawl.values("slug") == cars("red", pages=4)


def test_a_cursor_of_the_wrong_type(crawl: Crawl) -> None:
    log = crawl.run("cursors", tags="red", cursor="bad").log
    assert "next_cursor returned {'not': 'a cursor'} for page 1 of The list 'red'" in log
    assert "Request given up after" in log
    assert crawl.values("slug") == cars("red", pages=1)


def test_kills_with_another_scheduler(crawl: Crawl) -> None:
    """The points hold, and the next run goes on from them; what was under way beyond them is fetched again."""
    settings = {
        "ADDONS": "{}",
        "EXTENSIONS": '{"scrapy_t8.T8Checkpoint": -1000}',
        "RETRY_TIMES": "5",
        # The disk queues that Scrapy keeps in a JOBDIR do not survive a kill themselves.
        "JOBDIR": "",
    }
    crawl.job = crawl.work / ".scrapy/t8/pages"
    for hits in (30, 45):
        crawl.killed_at(hits, "pages", **settings)
        check_points(crawl, "pages")
    before = {tag: point["current_page"] for (_, tag), point in crawl.points().items()}
    log = crawl.run("pages", **settings).log
    assert "The scheduler is not T8's" in log
    for tag, page in before.items():
        assert f"The list {tag!r} goes on at page {page + 1}" in log
        assert crawl.points()["LIST_COLLECTION", tag]["current_page"] == PAGES


def test_no_lists(crawl: Crawl) -> None:
    log = crawl.run("pages", tags="").log
    assert "The spider has no lists" in log
    assert "(finished)" in log


def test_a_last_page_before_the_first(crawl: Crawl) -> None:
    log = crawl.run("pages", tags="red", last="0").log
    assert "last_page is 0, before first_page (1)" in log
    assert "Traceback" not in log


def test_a_finished_list_begins_again_in_the_next_job(crawl: Crawl) -> None:
    crawl.site.set(pages=3)
    crawl.run("pages", tags="red")
    crawl.site.set(pages=4)
    crawl.run("pages", tags="red")
    assert crawl.values("slug") == cars("red", pages=3) + cars("red", pages=4)
    assert crawl.points()["LIST_COLLECTION", "red"]["current_page"] == 4


def test_a_list_of_known_length_that_shrinks(crawl: Crawl) -> None:
    crawl.site.set(pages=12)
    crawl.run("pages", tags="red", last="15")
    assert crawl.values("slug") == cars("red", pages=12)
    assert "page 13 of 15 is empty" in crawl.last.log


@pytest.mark.parametrize("at_the_start", [False, True])
def test_a_list_outlasts_an_outage(crawl: Crawl, at_the_start: bool) -> None:
    """More failures than a page has retries, of fewer requests than open the breaker by default."""
    crawl.site.set(pages=6, away=0)
    settings = {"T8_BREAKER_PROBE": 0.1, "T8_BREAKER_PROBE_CAP": 0.1, "T8_RETRY_BASE": 0.05, "T8_RETRY_JITTER": 0}
    if at_the_start:
        crawl.site.set(away=1)
    two_pages = crawl.site.alarm(12)
    run = crawl.start("cursors", tags="red", **settings).until(two_pages.is_set, "two pages")
    crawl.site.set(away=20)
    crawl.site.go_on()
    assert run.wait().reason == "finished"
    assert crawl.values("slug") == cars("red", pages=6)
    assert crawl.letters() == {}
    assert crawl.site.values["away"] == 0
