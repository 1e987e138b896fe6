"""A stop takes no longer than it may, and loses nothing."""

from __future__ import annotations

import time
from collections import Counter
from signal import SIGINT, SIGTERM

import pytest

from tests.support.crawl import Crawl

pytestmark = pytest.mark.slow
FOR_EVER = 100_000
"""Seconds. Who waits that long meets the hang guard."""


@pytest.mark.parametrize("mode", ["reactor", "reactorless"])
def test_a_signal_with_held_answers_in_flight(crawl: Crawl, mode: str) -> None:
    assert crawl.site is not None
    settings = {
        "T8_STOP_GRACE": "2",
        "TWISTED_REACTOR_ENABLED": "True" if mode == "reactor" else "False",
        "DOWNLOAD_TIMEOUT": FOR_EVER,
    }
    paths = [*(f"car/{n}" for n in range(20)), *(f"held/{n}" for n in range(8))]
    run = crawl.start("asking", paths=",".join(paths), **settings)
    run.until(lambda: sum("held" in hit.path for hit in crawl.site.hits) == 8, "8 requests in flight")
    began = time.monotonic()
    run.send(SIGTERM)
    stopped = run.wait()
    assert time.monotonic() - began >= 1.9
    assert (stopped.code, stopped.reason) == (0, "shutdown")
    assert "8 requests are still in flight 2 s after the stop signal, and returned to the queue" in stopped.log
    assert "Error while removing request" not in stopped.log
    assert "Traceback" not in stopped.log
    crawl.site.release()
    finished = crawl.run("asking", paths=",".join(paths), **settings)
    assert finished.reason == "finished"
    assert "ended" in finished.log
    assert crawl.values("slug") == Counter(f"/{path}" for path in paths)


def test_a_signal_with_nothing_in_flight_takes_no_grace(crawl: Crawl) -> None:
    assert crawl.site is not None
    paths = ",".join(f"car/{n}" for n in range(2000))
    run = crawl.start("asking", paths=paths, DOWNLOAD_DELAY=0.02, T8_STOP_GRACE=FOR_EVER)
    run.until(lambda: len(crawl.site.hits) >= 10, "10 hits").send(SIGTERM)
    assert run.wait().reason == "shutdown"


@pytest.mark.parametrize("seconds", ["0.5", str(FOR_EVER)], ids=["items-end-in-time", "items-take-for-ever"])
def test_a_signal_with_items_of_start_in_the_pipelines(crawl: Crawl, seconds: str) -> None:
    """Scrapy waits for ever for items that belong to no response."""
    grace = "1" if seconds == str(FOR_EVER) else FOR_EVER
    run = crawl.start("offered", T8_STOP_GRACE=grace, seconds=seconds, T8_RESUME="continue")
    run.until(lambda: len(crawl.notes) >= 4, "4 items in the pipelines").send(SIGTERM)
    stopped = run.wait()
    assert (stopped.code, stopped.reason) == (0, "shutdown")
    assert crawl.run("offered", T8_RESUME="continue").reason == "finished"
    assert crawl.values("start") == Counter(range(12))


def test_a_run_that_is_forced_to_end_says_what_the_same_command_does(crawl: Crawl) -> None:
    assert crawl.site is not None
    run = crawl.start("asking", paths="car/1,held/1,held/2", T8_STOP_GRACE=FOR_EVER)
    run.until(lambda: sum("held" in hit.path for hit in crawl.site.hits) == 2, "2 requests in flight")
    run.until(lambda: crawl.committed().start_done and crawl.committed().done == 1, "a page is committed")
    run.send(SIGINT)
    run.until_log("Closing spider (shutdown)").send(SIGINT)
    (line,) = run.wait().lines("The run was forced to end at once")
    assert line.endswith("; the same command continues this job: 2 requests are left")
