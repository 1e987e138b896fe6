"""Hosts that are down or ask for a pause, by the hits that they have seen."""

from __future__ import annotations

import json
import time
from collections import Counter
from itertools import pairwise

import pytest

from tests.support import ledger
from tests.support.crawl import Crawl

from .pages import SPIDER, balanced, both, items, run

pytestmark = pytest.mark.slow

AT_ONCE = 4
FAILURES = 5
"""Failures in a row that open the breaker, by default."""

GOOD = ("ok", "flaky-1", "flaky-3", "cut-1", "torn-2", "captcha-1", "later-1", "down")
VARIANTS: dict[str, dict[str, str]] = {
    "default": {},
    "plain-queue": {"SCHEDULER_PRIORITY_QUEUE": "scrapy.pqueues.ScrapyPriorityQueue"},
    "reactorless": {"TWISTED_REACTOR_ENABLED": "False"},
}


def test_retry_after_holds_for_the_whole_host(crawl: Crawl) -> None:
    paths = ["later-2/b", *[f"ok/b{n}" for n in range(30)]]
    run(crawl, *paths, CONCURRENT_REQUESTS=1)
    begun = next(hit.when for hit in crawl.site.hits if hit.path == "/later-2/b")
    assert min(hit.when - begun for hit in crawl.site.hits if hit.when > begun) >= 1.99
    assert items(crawl) == both(*paths)


@pytest.mark.parametrize(
    ("way", "message"), [("asks-nonsense", "invalid Retry-After header"), ("asks-year", "capped at 1")]
)
def test_an_unreasonable_retry_after(crawl: Crawl, way: str, message: str) -> None:
    path = f"{way}/x"
    log = run(crawl, path, T8_RETRY_AFTER_CAP="1").log
    assert message in log
    assert items(crawl) == both(path)


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_outage_charges_no_attempts(crawl: Crawl, variant: str) -> None:
    """Nor is there a burst: the host is probed by one request at a time, with pauses between them."""
    crawl.site.set(down=14)
    paths = [f"down/{n}" for n in range(60)]
    limits = {"CONCURRENT_REQUESTS": AT_ONCE, "T8_BREAKER_PROBE": 0.5, "T8_BREAKER_PROBE_CAP": 0.5}
    log = run(crawl, *paths, T8_RETRY_KINDS={"host": {"times": 1}}, **limits, **VARIANTS[variant]).log
    assert "looks down" in log
    assert "is up again" in log
    assert items(crawl) == both(*paths)
    assert len(crawl.site.hits) == 60 + 14
    failed = [hit.when for hit in crawl.site.hits if hit.status == 503]
    probes = failed[FAILURES + AT_ONCE :]
    assert len(probes) >= 5
    assert all(after - before >= 0.5 for before, after in pairwise(probes))
    assert crawl.site.most_at_once <= AT_ONCE


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_host_of_which_each_page_fails_once_is_not_probed_with_new_pages_alone(crawl: Crawl, variant: str) -> None:
    """Each new page fails. So the host would count as down until all pages have been probes."""
    paths = [f"flaky-1/{n}" for n in range(60)]
    limits = {
        "CONCURRENT_REQUESTS": AT_ONCE,
        "T8_BREAKER_PROBE": 0.5,
        "T8_BREAKER_PROBE_CAP": 0.5,
        "T8_RETRY_BASE": 0.1,
    }
    run(crawl, *paths, **limits, **VARIANTS[variant])
    assert items(crawl) == both(*paths)
    statuses = [hit.status for hit in crawl.site.hits]
    assert FAILURES <= statuses.index(200) <= FAILURES + AT_ONCE + 2


def test_a_bad_page_of_a_host_that_answers_is_no_outage(crawl: Crawl) -> None:
    """In the end only bad pages are left. A page that was answered before shows that the host is up."""
    bad = [f"status/503/{n}" for n in range(FAILURES - 1)]
    log = run(crawl, "ok/a", *bad, T8_RETRY_BASE=0.02, CONCURRENT_REQUESTS=AT_ONCE).log
    assert "looks down" not in log
    assert items(crawl) == both("ok/a")
    assert crawl.letters() == {"host": len(bad)}
    asked = Counter(hit.path for hit in crawl.site.hits)
    assert all(7 <= asked[f"/{path}"] <= 8 for path in bad)
    assert asked["/ok/a"] < 20


def test_the_next_run_spares_a_host_that_is_down(crawl: Crawl) -> None:
    crawl.site.set(down=10**6)
    paths = [f"down/{n}" for n in range(60)]
    settings = {"CONCURRENT_REQUESTS": AT_ONCE, "T8_BREAKER_PROBE": 0.5, "T8_BREAKER_PROBE_CAP": 0.5}
    first = crawl.start(SPIDER, paths=",".join(paths), **settings)
    first.until(lambda: any(json.loads(record)["interval"] for (record,) in hosts(crawl)), "an open breaker").kill()
    before = len(crawl.site.hits)
    assert before >= FAILURES
    crawl.site.set(down=3)
    run(crawl, *paths, T8_RETRY_KINDS={"host": {"times": 1}}, **settings)
    probes = [hit.when for hit in crawl.site.hits[before:]][:4]
    assert all(after - before >= 0.5 for before, after in pairwise(probes))
    assert items(crawl) == both(*paths)


def hosts(crawl: Crawl) -> list[tuple[str]]:
    return ledger.live(crawl.state_file, "SELECT record FROM host")


def test_no_retry_comes_early(crawl: Crawl) -> None:
    paths = [f"flaky-{n % 4}/{n}" for n in range(40)]
    run(crawl, *paths, T8_RETRY_BASE=0.5, T8_RETRY_JITTER=0, T8_RETRY_CAP=10, T8_BREAKER_FAILURES=0)
    times, retries = crawl.site.times(), 0
    for path in paths:
        for number, (before, after) in enumerate(pairwise(times[f"/{path}"])):
            assert after - before >= 0.5 * 2**number
            retries += 1
    assert retries == 60


def test_kills_change_no_outcome(crawl: Crawl) -> None:
    """Every way of failing, an outage in the middle, five kills: attempts and due times hold."""
    good = [f"{way}/{n}" for way in GOOD for n in range(8)]
    bad = ["gone/x", "broken/x"]
    settings = {
        "T8_RETRY_BASE": "0.7",
        "T8_RETRY_FACTOR": "1",
        "T8_RETRY_JITTER": "0",
        "T8_RETRY_CHECKS": '["failing.no_captcha"]',
    }
    crawl.site.set(down=24)
    kills = []
    for answers in (6, 10, 14, 8, 18):
        crawl.killed_at(answers, SPIDER, paths=",".join(good + bad), **settings)
        kills.append(time.time())
        balanced(crawl)
    assert run(crawl, *good, *bad, **settings).reason == "finished"
    assert items(crawl) == both(*good)
    assert crawl.letters() == {"http": 1, "host": 1}
    times = crawl.site.times()
    for path in good:
        hits = [hit for hit in crawl.site.hits if hit.path == f"/{path}"]
        for before, after in pairwise(hits):
            # A page that was answered may be the one with which its host is probed, at once after some failures.
            has_failed = before.status != 200 or (path.startswith("captcha") and before is hits[0])
            # Twisted asks again by itself, at once, when a connection that it has reused is cut; so is a torn one for a
            # process that comes too late to read the half of the answer.
            if has_failed and not path.startswith(("cut", "torn")):
                assert after.when - before.when >= 0.7 or any(before.when < kill < after.when for kill in kills)
    assert len(times["/broken/x"]) <= 7 + len(kills)
