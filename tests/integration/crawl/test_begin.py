"""A login is there before any stored request is sent, in each run."""

from __future__ import annotations

import pytest

from tests.support.crawl import Crawl

from .compare import Lab

pytestmark = pytest.mark.slow

ALL = {f"p/{number}{more}" for number in range(8) for more in ("", "/token200")}
ONE = {"CONCURRENT_REQUESTS": 1}


def check(crawl: Crawl, runs: int) -> None:
    """Check that each run has logged in before its first page, and that every item is there once."""
    assert crawl.notes.count("login ends") == runs
    logged_in = False
    for line in crawl.notes:
        if line.startswith("page"):
            assert logged_in
        elif not line.startswith("! stop"):
            logged_in = line == "login ends"
    assert set(crawl.values("page")) == ALL
    assert set(crawl.values("page").values()) == {1}
    assert not crawl.letters()


@pytest.mark.parametrize(
    ("spider", "pause"),
    [("logging-in", 0), ("logging-in", 0.3), ("beginning", 0)],
    ids=["start-is-read-to-its-end", "start-is-not-read-to-its-end", "hook"],
)
def test_a_login_in_each_run(lab: Lab, spider: str, pause: float) -> None:
    crawl = lab.crawl(spider, pause=str(pause), **ONE)
    for page in (2, 3):
        crawl.killed(f"page:{page}")
    crawl.finished()
    check(crawl, runs=3)


@pytest.mark.parametrize("spider", ["logging-in", "beginning"])
def test_a_login_that_fails_costs_no_request(lab: Lab, spider: str) -> None:
    crawl = lab.crawl(spider, **ONE)
    crawl.stopped("page:3")  # A kill may come before the first commit: then no request is stored.
    pages = len(crawl.pages)
    run = crawl.run(switch="locked out")
    assert run.reason == "t8_begin_failed"
    assert len(run.at("CRITICAL")) == 1
    assert "has raised PermissionError('wrong password'): no request was sent" in run.at("CRITICAL")[0]
    assert len(crawl.pages) == pages
    crawl.finished()
    check(crawl, runs=2)
