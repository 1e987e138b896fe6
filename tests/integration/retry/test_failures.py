"""Failed requests are retried: crawls of a site that fails in many ways."""

from __future__ import annotations

import pytest

from scrapy_t8.core.offline.dead_letters import open_dead_letters
from scrapy_t8.model.dead_letter import LetterFilter
from tests.support.crawl import Crawl

from .pages import SPIDER, asked, balanced, both, items, run

pytestmark = pytest.mark.slow


def test_whatever_can_be_fetched_is_fetched(crawl: Crawl) -> None:
    good = ["ok/a", "flaky-3/a", "cut-2/a", "torn-1/a", "misread-1/a", "halved-2/a", "captcha-2/a", "ok/again"]
    bad = ["gone/a", "broken/a"]
    log = run(crawl, *good, *bad, T8_RETRY_CHECKS='["failing.no_captcha"]', T8_RETRY_KINDS='{"host": {"times": 4}}').log
    assert "(finished)" in log
    assert items(crawl) == both(*good)
    state = balanced(crawl)
    assert (state.ledger["done"], state.ledger["dead"], state.finished) == (len(good), len(bad), True)
    with open_dead_letters(crawl.job) as letters:
        assert {(letter.kind, letter.status) for letter in letters.list()} == {("http", 404), ("host", 500)}
        broken = letters.list(LetterFilter(kind="host"))[0]
        whole = letters.get(broken.id)
        assert whole is not None
        assert "a stack trace" in str(whole.detail)
    assert asked(crawl)["/broken/a"] == 5


def test_a_retry_beyond_the_wait_is_left_to_the_next_run(crawl: Crawl) -> None:
    first = run(crawl, "ok/c", "later-600/x", T8_RETRY_WAIT=1)
    assert first.reason == "retries_waiting"
    assert balanced(crawl).waiting == 1
    assert run(crawl, "ok/c", "later-600/x", T8_RETRY_WAIT=10, switch="an hour later").reason == "finished"
    assert items(crawl) == both("ok/c", "later-600/x")


def test_a_crawl_that_waits_for_retries_is_not_closed_for_yielding_no_items(crawl: Crawl) -> None:
    waiting = crawl.start(SPIDER, paths="later-600/x", CLOSESPIDER_TIMEOUT_NO_ITEM=1000, T8_RETRY_WAIT=1000)
    waiting.until_log("for a retry, the first until").until(lambda: crawl.notes[-1:] == ["the clock stands"])
    assert waiting.stop().reason == "shutdown"
    assert run(crawl, "later-600/x", switch="an hour later").reason == "finished"
    assert items(crawl) == both("later-600/x")


def test_the_log_does_not_grow_with_the_attempts(crawl: Crawl) -> None:
    """Pages that fail six times have as many lines as pages that fail twice."""
    quick = {"T8_RETRY_BASE": 0.01, "T8_RETRY_KINDS": '{"host": {"times": 9}}', "T8_BREAKER_FAILURES": 0}
    lines = []
    for times in (2, 6):
        paths = [f"flaky-{times}/{page}" for page in range(6)]
        done = run(crawl, *paths, LOGSTATS_INTERVAL=3600, LOG_LEVEL="INFO", **quick)
        assert done.stats["t8/retry/count"] == 6 * times
        lines.append([line for line in done.lines("[scrapy_t8") if "for a retry, the first" not in line])
    assert len(lines[0]) == len(lines[1])


def test_what_fails_is_summarised_while_it_fails(crawl: Crawl) -> None:
    running = crawl.start(SPIDER, paths="ok/a,later-600/x", LOGSTATS_INTERVAL=0.2, T8_RETRY_WAIT=1000)
    (line,) = running.until_log("attempt has failed").stop().lines("attempt has failed")
    assert "1 attempt has failed in the last 0.2 s (1 throttled); 1 request waits for a retry, the first until" in line


def test_a_crawl_that_yields_no_items_is_closed(crawl: Crawl) -> None:
    held = [f"held/{n}" for n in range(9)]
    done = run(crawl, "later-1/x", *held, CLOSESPIDER_TIMEOUT_NO_ITEM=2, DOWNLOAD_TIMEOUT=4, NO_ITEMS=1)
    assert done.reason == "closespider_timeout_no_item"


def test_a_retry_is_not_answered_from_the_cache(crawl: Crawl) -> None:
    paths = ["flaky-2/x", "captcha-2/x", "ok/x"]
    cached = {"HTTPCACHE_ENABLED": "1", "HTTPCACHE_DIR": "cache", "T8_RETRY_CHECKS": '["failing.no_captcha"]'}
    run(crawl, *paths, **cached)
    assert items(crawl) == both(*paths)
    hits = {"/flaky-2/x": 3, "/captcha-2/x": 3, "/ok/x": 1}
    assert asked(crawl) == hits
    run(crawl, *paths, JOBDIR="another-job", **cached)
    assert asked(crawl) == hits
    assert items(crawl) == both(*paths) + both(*paths)


def test_a_request_from_memory_is_retried_like_others(crawl: Crawl) -> None:
    paths = ["flaky-2/live", "broken/live", "ok/live"]
    log = run(crawl, *paths, T8_RETRY_KINDS='{"host": {"times": 2}}').log
    assert "(finished)" in log
    assert items(crawl) == both(paths[0], paths[2])
    assert asked(crawl) == {"/flaky-2/live": 3, "/broken/live": 3, "/ok/live": 1}


def test_a_dead_letter_outlives_its_job_until_the_request_succeeds(crawl: Crawl) -> None:
    path = "flaky-2/x"
    run(crawl, path, "gone/x", T8_RETRY_KINDS='{"host": {"times": 0}}')
    assert crawl.letters() == {"host": 1, "http": 1}
    run(crawl, path, "gone/x", T8_RETRY_KINDS='{"host": {"times": 5}}')
    assert crawl.letters() == {"http": 2}
    assert items(crawl) == both(path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"T8_RETRY_FACTOR": "0.5"}, "factor is 0.5, but must be at least 1"),
        ({"T8_RETRY_BASE": "-1"}, "base is -1.0, but must be seconds of at least 0"),
        ({"T8_RETRY_CAP": "0.1"}, "cap is 0.1, but must be seconds of at least the base"),
        ({"T8_RETRY_KINDS": '{"bann": {}}'}, "there is no kind of failure 'bann'"),
        ({"T8_RETRY_HANDLERS": '{"X": "failing.nothing"}'}, "T8_RETRY_HANDLERS"),
        ({"T8_RETRY_CHECKS": '["nowhere.nothing"]'}, "T8_RETRY_CHECKS"),
    ],
)
def test_invalid_settings_are_refused(crawl: Crawl, settings: dict[str, str], message: str) -> None:
    log = run(crawl, "ok/e", **settings).log
    lines = [line for line in log.splitlines() if "CRITICAL" in line]
    assert len(lines) == 1
    assert message in lines[0]


def test_errors_that_retry_exceptions_names(crawl: Crawl) -> None:
    paths = ["ok/a", "ok/before", "ok/after"]
    strange = {"DOWNLOADER_MIDDLEWARES": {"failing.Strange": 560}, "RETRY_TIMES": 3}
    run(crawl, *paths, **strange, RETRY_EXCEPTIONS="failing.StrangeError")
    assert items(crawl) == both(*paths)
    assert crawl.letters() == {}


def test_other_errors_name_the_remedy_once(crawl: Crawl) -> None:
    paths = ["ok/a", "ok/before", "ok/after", "ok/2/after"]
    done = run(crawl, *paths, switch="strange", DOWNLOADER_MIDDLEWARES={"failing.Strange": 560})
    assert items(crawl) == both("ok/a")
    assert crawl.letters() == {"download": 3}
    (line,) = done.lines("RETRY_EXCEPTIONS = [")
    assert "failing.StrangeError" in line
