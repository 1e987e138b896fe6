"""One page with more outputs than memory could hold."""

from __future__ import annotations

import pytest

from .compare import Lab

pytestmark = pytest.mark.slow


def test_memory_is_bounded_and_the_event_loop_goes_on(lab: Lab) -> None:
    """Memory is bounded by the work in flight, and the event loop has its turn all the while. Trap 29."""
    crawl = lab.crawl("huge_page")
    run = crawl.run()
    assert run.reason == "enough", run.log[-5000:]
    assert not run.complaints, run.complaints
    noted = dict(line.split() for line in crawl.notes)
    assert int(noted["grown"]) < 12e6  # plain Scrapy needs 18 MB
    assert int(noted["standstill"]) < 1000
    ledger = crawl.state().ledger
    assert ledger["admitted"] == 12_001
    # The page itself comes again in the next run.
    (left,) = crawl.query("SELECT (SELECT count(*) FROM entry) + (SELECT count(*) FROM waiting)")[0]
    assert ledger["admitted"] == ledger["done"] + left
    assert left > 9_000
