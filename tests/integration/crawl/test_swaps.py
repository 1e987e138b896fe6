"""Middlewares that swap requests: nothing is lost with their lists, and what does not come back is named."""

from __future__ import annotations

import pytest

from tests.support.crawl import Crawl

from .compare import Lab

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("spider", ["gated", "gated_from_memory"])
def test_requests_that_wait_for_a_ticket(lab: Lab, spider: str) -> None:
    """The list of the middleware goes with the process; the requests are still there."""
    lab.compare(spider, ("ticket",), ("ticket", "sent 2"), ("sent 0", "sent 1", "shelf 3"))


def test_a_request_that_goes_by_way_of_another_host(lab: Lab) -> None:
    """What was ignored for good is named, whether the crawl was killed or not."""
    calm, broken = lab.crawl("by_way"), lab.crawl("by_way")
    calm.run()
    broken.killed("root")
    broken.killed("4")
    broken.run()
    for crawl in (calm, broken):
        assert sorted(crawl.values("page")) == ["1", "2", "4", "5", "7", "8"]
        assert set(crawl.values("page").values()) == {1}
        ledger = _requests(crawl)
        assert (ledger["admitted"], ledger["done"], ledger["discarded"]) == (10, 7, 3)
        assert crawl.state().finished
        assert any("Inspector" in line for line in crawl.last.log.splitlines())
        assert crawl.last.stats["t8/verdict"] != "complete"


def test_a_request_of_a_middleware_that_fails(lab: Lab) -> None:
    """The page for which it was sent becomes a dead letter, which can be revived."""
    crawl = lab.crawl("no_tickets")
    run = crawl.run()
    assert run.reason == "finished"
    ((url, callback),) = crawl.query("SELECT url, callback FROM dead")
    assert "/slow/20/" in url
    assert callback == "shelf"
    ledger = _requests(crawl)
    # The request for the ticket is none of the five, and has not become one.
    assert (ledger["dead"], ledger["done"], ledger["discarded"]) == (1, 0, 4)
    assert ledger["admitted"] == 5
    assert run.stats["t8/verdict"] != "complete"


def test_a_response_with_another_request(lab: Lab) -> None:
    """A failure belongs to the page whose callback has failed."""
    crawl = lab.crawl("forged")
    crawl.killed("new-3")
    crawl.run()
    assert sorted(crawl.values("page")) == ["new-1", "new-5", "old-4"]
    assert {url.rpartition("/")[2] for (url,) in crawl.query("SELECT url FROM dead")} == {"old-2", "new-3"}


def _requests(crawl: Crawl) -> dict[str, int]:
    """Return the account of the requests."""
    state = crawl.state()
    assert state.difference == 0
    ledger: dict[str, int] = state.record["ledger"]
    return ledger
