"""Redirects and retries replace their request; a replayed page does not yield its requests again."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.crawl import Crawl

from .compare import Lab

pytestmark = pytest.mark.slow


def test_redirects(lab: Lab) -> None:
    """Chains, loops, pages seen already, meta refresh: the page is the same one, under another name.

    Traps 8, 14, 15.
    """
    lab.compare(
        "redirects",
        ("scheduled redirect 1", "sent redirect 2", "committed redirect 3"),
        ("committed redirect 1", "loop/b failed", "received p/p/thrice/unfiltered"),
    )


def test_retries(lab: Lab) -> None:
    """A request that is tried again is the same page; how often it was tried survives a kill. Traps 14, 15, 25."""
    lab.compare("retries", ("committed retry 1", "committed retry 2"))


def test_killed_between_the_failure_and_the_retry(lab: Lab) -> None:
    """A retry that was not committed is no retry: the books balance, and the page is there."""
    crawl = lab.crawl("retries", T8_COMMIT_INTERVAL=5)
    crawl.killed("scheduled retry 1:2")
    crawl.killed("sent retry 2")
    crawl.finished()
    # A page shows how often it was requested, so only the names of the pages are compared.
    names = Counter(item["page"] for item in map(json.loads, crawl.lines.elements()) if "page" in item)
    assert set(names) == {
        name
        for page in ("in_turn/503,500,200/recovers", "p/moved")
        for name in (page, f"p/{page}/filtered", f"p/{page}/unfiltered")
    }
    assert max(names.values()) == 1
    assert sum("failed" in item for item in crawl.lines.elements()) == 1


@pytest.fixture(scope="module")
def once(lab: Lab) -> Counter[str]:
    """What the two mothers and their children bring."""
    plain = lab.crawl("again", t8=False)
    plain.finished()
    return plain.lines


@pytest.mark.parametrize(
    "turns",
    ["200", "200,503,200", "200,503,503,200", "200,302", "200,503,302"],
    ids=["again", "retried", "retried-twice", "redirected", "retried-and-redirected"],
)
def test_children_come_once(lab: Lab, once: Counter[str], turns: str) -> None:
    """A replayed page finds what it has spawned before, whatever the site answers now. Traps 14, 20."""
    crawls = [lab.crawl("again", turns=turns) for _ in range(2)]

    def hurried(crawl: Crawl) -> None:
        """Everything is committed at once; killed again after the other answer."""
        crawl.killed("mother 1", T8_COMMIT_INTERVAL=0.001)
        crawl.killed("mother 2", T8_COMMIT_INTERVAL=0.001)
        crawl.finished()

    def leisurely(crawl: Crawl) -> None:
        """What the second run does is committed at its end only."""
        crawl.killed("mother 1", T8_COMMIT_INTERVAL=0.001)
        crawl.finished(T8_COMMIT_INTERVAL=30)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda way, crawl: way(crawl), (hurried, leisurely), crawls))
    for crawl in crawls:
        assert crawl.lines == once, f"{crawl.lines - once} too much, {once - crawl.lines} lost: {crawl.notes}"
