"""One page with more outputs than memory could hold."""

from __future__ import annotations

import pytest

from tests.support.crawl import Crawl

pytestmark = pytest.mark.slow


def test_memory_is_bounded_and_the_event_loop_goes_on(huge_page: Crawl) -> None:
    """Memory is bounded by the work in flight, and the event loop has its turn all the while. Trap 29."""
    run = huge_page.last
    assert run.reason == "enough", run.log[-5000:]
    assert not run.complaints, run.complaints
    noted = dict(line.split() for line in huge_page.notes)
    assert int(noted["grown"]) < 100e6
    assert int(noted["standstill"]) < 1000
    ledger = huge_page.state().ledger
    assert ledger["admitted"] == 300_001
    (left,) = huge_page.query("SELECT count(*) FROM entry")[0]
    assert ledger["admitted"] == ledger["done"] + left
    assert left > 290_000
