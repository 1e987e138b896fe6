"""Failures come back: whole crawls against a site that fails in every way."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from scrapy_t8.core.offline.dead_letters import open_dead_letters
from scrapy_t8.model.dead_letter import LetterFilter

from .harness import Crawl, both

pytestmark = pytest.mark.slow


def test_what_can_be_had_is_had(crawl: Crawl) -> None:
    good = ["ok/a", "flaky-3/a", "cut-2/a", "torn-1/a", "captcha-2/a", "ok/again"]
    bad = ["gone/a", "broken/a"]
    log = crawl.run(*good, *bad, T8_RETRY_CHECKS='["spider.no_captcha"]', T8_RETRY_KINDS='{"host": {"times": 4}}')
    assert "(finished)" in log
    assert crawl.items == both(*good)
    books = crawl.books()
    assert (books["done"], books["dead"], books["finished"]) == (len(good), len(bad), True)
    with open_dead_letters(crawl.work / "job") as letters:
        assert {(letter.kind, letter.status) for letter in letters.list()} == {("http", 404), ("host", 500)}
        broken = letters.list(LetterFilter(kind="host"))[0]
        whole = letters.get(broken.id)
        assert whole is not None
        assert "a stack trace" in str(whole.detail)
    assert Counter(path for _, path in crawl.hits)["/broken/a"] == 5


def test_beyond_the_wait_it_is_left_to_the_next_run(crawl: Crawl) -> None:
    name = f"later-3/{crawl.work.name}"
    log = crawl.run("ok/c", name, T8_RETRY_WAIT="1")
    assert "(retries_waiting)" in log
    assert crawl.books()["waiting"] == 1
    time.sleep(2)
    assert "(finished)" in crawl.run("ok/c", name, T8_RETRY_WAIT="10")
    assert crawl.items == both("ok/c", name)


def test_a_crawl_that_waits_is_not_taken_for_one_that_has_gone_wrong(crawl: Crawl) -> None:
    name = f"later-6/{crawl.work.name}"
    log = crawl.run(name, CLOSESPIDER_TIMEOUT_NO_ITEM="2")
    assert "(finished)" in log
    assert crawl.items == both(name)


def test_a_crawl_that_brings_nothing_is_closed_all_the_same(crawl: Crawl) -> None:
    log = crawl.run("later-1/x", *[f"slow-1/{n}" for n in range(9)], CLOSESPIDER_TIMEOUT_NO_ITEM="2", NO_ITEMS="1")
    assert "(closespider_timeout_no_item)" in log


def test_a_retry_is_not_answered_from_the_cache(crawl: Crawl) -> None:
    name = crawl.work.name
    paths = [f"flaky-2/{name}", f"captcha-2/{name}", f"ok/{name}"]
    cached = {"HTTPCACHE_ENABLED": "1", "HTTPCACHE_DIR": "cache", "T8_RETRY_CHECKS": '["spider.no_captcha"]'}
    crawl.run(*paths, **cached)
    assert crawl.items == both(*paths)
    hits = crawl.hits_of_mine()
    assert Counter(path for _, path in hits) == {f"/{paths[0]}": 3, f"/{paths[1]}": 3, f"/{paths[2]}": 1}
    crawl.run(*paths, JOBDIR="another-job", **cached)
    assert crawl.hits_of_mine() == hits
    assert crawl.items == both(*paths) + both(*paths)


def test_a_request_from_memory_is_retried_like_others(crawl: Crawl) -> None:
    paths = [f"flaky-2/{crawl.work.name}/live", f"broken/{crawl.work.name}/live", "ok/live"]
    log = crawl.run(*paths, T8_RETRY_KINDS='{"host": {"times": 2}}')
    assert "(finished)" in log
    assert crawl.items == both(paths[0], paths[2])
    assert Counter(path for _, path in crawl.hits_of_mine()) == {f"/{paths[0]}": 3, f"/{paths[1]}": 3}


def test_a_dead_letter_outlives_its_job_until_the_request_succeeds(crawl: Crawl) -> None:
    path = f"flaky-2/{crawl.work.name}"
    crawl.run(path, "gone/x", T8_RETRY_KINDS='{"host": {"times": 0}}')
    assert crawl.letters() == {"host": 1, "http": 1}
    crawl.run(path, "gone/x", T8_RETRY_KINDS='{"host": {"times": 5}}')
    assert crawl.letters() == {"http": 2}
    assert crawl.items == both(path)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"T8_RETRY_FACTOR": "0.5"}, "factor is 0.5, but must be at least 1"),
        ({"T8_RETRY_BASE": "-1"}, "base is -1.0, but must be seconds of at least 0"),
        ({"T8_RETRY_CAP": "0.1"}, "cap is 0.1, but must be seconds of at least the base"),
        ({"T8_RETRY_KINDS": '{"bann": {}}'}, "there is no kind of failure 'bann'"),
        ({"T8_RETRY_HANDLERS": '{"X": "spider.nothing"}'}, "T8_RETRY_HANDLERS"),
        ({"T8_RETRY_CHECKS": '["nowhere.nothing"]'}, "T8_RETRY_CHECKS"),
    ],
)
def test_what_makes_no_sense_is_refused(crawl: Crawl, settings: dict[str, str], told: str) -> None:
    log = crawl.run("ok/e", **settings)
    lines = [line for line in log.splitlines() if "CRITICAL" in line]
    assert len(lines) == 1
    assert told in lines[0]
