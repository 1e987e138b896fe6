"""A stop takes no longer than it may, and loses nothing."""

from __future__ import annotations

import signal
import time
from collections import Counter

import pytest

from .harness import Crawl

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("mode", ["reactor", "reactorless"])
def test_a_signal_with_slow_answers_in_flight(crawl: Crawl, mode: str) -> None:
    settings = {
        "T8_STOP_GRACE": "2",
        "TWISTED_REACTOR_ENABLED": "True" if mode == "reactor" else "False",
        "DOWNLOAD_TIMEOUT": "60",
    }
    paths = ",".join([*(f"car/{n}" for n in range(20)), *(f"slow/longer-{n}" for n in range(8))])
    process = crawl.begin("asking", paths=paths, settings=settings)
    deadline = time.monotonic() + 30
    while sum("slow" in path for _, path, _ in crawl.hits()) < 8 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    _, log = process.communicate(timeout=60)
    took = time.monotonic() - began
    assert process.returncode == 0
    assert 1.9 <= took <= 4
    assert "8 requests still in flight 2 s after the stop signal; returned to the queue" in log
    assert "Error while removing request" not in log
    assert "(shutdown)" in log
    assert "Traceback" not in log
    crawl.set(slow=0)
    log = crawl.run("asking", paths=paths, settings=settings)
    assert "(finished)" in log
    assert "ended" in log
    assert crawl.items == Counter(f"/{path}" for path in paths.split(","))


def test_a_signal_with_nothing_slow_takes_no_grace(crawl: Crawl) -> None:
    paths = ",".join(f"car/{n}" for n in range(200))
    process = crawl.begin("asking", paths=paths, settings={"DOWNLOAD_DELAY": "0.02"})
    deadline = time.monotonic() + 30
    while len(crawl.hits()) < 10 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    process.communicate(timeout=60)
    assert time.monotonic() - began < 3
