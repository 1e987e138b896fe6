"""Hosts that are down, or ask to be left in peace, and what their log says of us."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from .harness import Crawl, both

pytestmark = pytest.mark.slow

GOOD = ("ok", "flaky-1", "flaky-3", "cut-1", "torn-2", "captcha-1", "later-1", "down")
VARIANTS: dict[str, dict[str, str]] = {
    "default": {},
    "plain-queue": {"SCHEDULER_PRIORITY_QUEUE": "scrapy.pqueues.ScrapyPriorityQueue"},
    "reactorless": {"TWISTED_REACTOR_ENABLED": "False"},
}


def test_retry_after_holds_for_the_whole_host(crawl: Crawl) -> None:
    crawl.run("later-2/b", *[f"ok/b{n}" for n in range(30)], CONCURRENT_REQUESTS=1)
    mine = [(when, path) for when, path in crawl.hits if "/b" in path]
    asked = next(when for when, path in mine if path == "/later-2/b")
    after = [when - asked for when, path in mine if when > asked]
    assert min(after) >= 1.99
    assert crawl.items == both("later-2/b", *[f"ok/b{n}" for n in range(30)])


@pytest.mark.parametrize(
    ("asked", "told"), [("asks-nonsense", "invalid Retry-After header"), ("asks-year", "capped at 1")]
)
def test_a_retry_after_beyond_reason(crawl: Crawl, asked: str, told: str) -> None:
    path = f"{asked}/{crawl.work.name}"
    log = crawl.run(path, T8_RETRY_AFTER_CAP="1")
    assert told in log
    assert crawl.items == both(path)


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_outage_costs_nobody_an_attempt(crawl: Crawl, variant: str) -> None:
    """Nor is there a burst after it: the host is asked no more often than before."""
    crawl.outage(6)
    paths = [f"down/{crawl.work.name}{n}" for n in range(60)]
    spaced = {"DOWNLOAD_DELAY": "0.05", "RANDOMIZE_DOWNLOAD_DELAY": "0"}
    log = crawl.run(*paths, T8_RETRY_KINDS='{"host": {"times": 1}}', **spaced, **VARIANTS[variant])
    assert "looks down" in log
    assert "is up again" in log
    assert crawl.items == both(*paths)
    assert len(crawl.hits_of_mine()) < 60 + 16 + 8 + 10  # in flight when it opened, and a few probes
    assert crawl.most_in_a_second() <= 20 + 5


def test_a_host_that_is_down_is_spared_by_the_next_run_too(crawl: Crawl) -> None:
    crawl.outage(9)
    probes = {"T8_BREAKER_PROBE": "3", "T8_BREAKER_PROBE_CAP": "3"}
    paths = [f"down/{crawl.work.name}{n}" for n in range(60)]
    crawl.killed(1.7, *paths, **probes)
    first, killed = len(crawl.hits_of_mine()), time.time()
    assert first >= 5
    crawl.run(*paths, T8_RETRY_KINDS='{"host": {"times": 1}}', **probes)
    during = [when for when, _ in crawl.hits_of_mine() if killed < when < crawl.down_until]
    assert len(during) <= 3
    assert crawl.items == both(*paths)


def test_no_page_is_asked_for_before_its_time(crawl: Crawl) -> None:
    paths = [f"flaky-{n % 4}/{crawl.work.name}{n}" for n in range(40)]
    crawl.run(*paths, T8_RETRY_BASE="0.5", T8_RETRY_JITTER="0", T8_RETRY_CAP="10", T8_BREAKER_FAILURES="0")
    times, late = crawl.times(), []
    for path in paths:
        for number, (before, after) in enumerate(pairwise(times[f"/{path}"])):
            assert after - before >= 0.5 * 2**number
            late.append(after - before - 0.5 * 2**number)
    assert len(late) == 60
    assert sorted(late)[30] < 0.5


def test_kills_change_nothing(crawl: Crawl) -> None:
    """Every way of failing, an outage in the middle, five kills: attempts and due times hold."""
    name = crawl.work.name
    good = [f"{way}/{name}{n}" for way in GOOD for n in range(8)]
    bad = [f"gone/{name}", f"broken/{name}"]
    settings = {
        "T8_RETRY_BASE": "0.7",
        "T8_RETRY_FACTOR": "1",
        "T8_RETRY_JITTER": "0",
        "T8_RETRY_CHECKS": '["spider.no_captcha"]',
        # So slow that five kills are over long before it is through.
        "DOWNLOAD_DELAY": "0.08",
    }
    crawl.outage(7)
    kills = []
    for after in (0.3, 0.6, 0.9, 0.5, 1.2):
        crawl.killed(after, *good, *bad, **settings)
        kills.append(time.time())
        crawl.books()
    log = crawl.run(*good, *bad, **settings)
    assert "(finished)" in log
    assert crawl.items == both(*good)
    assert crawl.letters() == {"http": 1, "host": 1}
    times = crawl.times()
    for path in good:
        # Twisted asks again by itself, at once, when a connection that it has reused is cut.
        for before, after in pairwise(times[f"/{path}"] if not path.startswith("cut") else ()):
            assert after - before >= 0.7 or any(before < kill < after for kill in kills)
    assert len(times[f"/broken/{name}"]) <= 7 + len(kills)
