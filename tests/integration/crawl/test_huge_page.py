"""One page that brings a million outputs, or nearly so."""

from __future__ import annotations

from .harness import Crawl


def test_outputs_beyond_memory(million: Crawl) -> None:
    """Memory is bounded by the work in flight, and the event loop has its turn all the while. Trap 29."""
    run = million.last
    assert run.reason == "enough", run.log[-5000:]
    assert not run.complaints, run.complaints
    noted = dict(line.split() for line in million.notes)
    assert int(noted["grown"]) < 100e6
    assert float(noted["longest"]) < 1
    ledger = million.job["ledger"]
    assert ledger["admitted"] == 300_001
    (left,) = million.query("SELECT count(*) FROM entry")[0]
    assert ledger["admitted"] == ledger["done"] + left
    assert left > 290_000
