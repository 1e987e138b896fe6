"""How the failures of a request are counted."""

from __future__ import annotations

from scrapy_t8.model.attempts import AttemptHistory

KINDS = ("network", "host")


def failed(times: int) -> AttemptHistory:
    history = AttemptHistory()
    for number in range(times):
        history.add(float(number), "network", "timeout", charged=True)
    return history


def test_failures_that_are_given_back_are_free_attempts_later() -> None:
    history = failed(3)
    history.refund(2, KINDS)
    assert (history.counts["network"], history.free("network"), history.retries) == (3, 2, 1)
    history.add(9.0, "network", "timeout", charged=False, uses_free=True)
    assert (history.counts["network"], history.free("network"), history.retries) == (3, 1, 2)
    assert AttemptHistory.loads(history.dumps()) == history


def test_failures_are_given_back_to_their_kind() -> None:
    """Each kind has retries of its own. So an outage takes none from one kind, and adds none to another."""
    history = failed(2)
    history.add(2.0, "host", "503", charged=True)
    history.add(3.0, "http", "404", charged=True)
    history.refund(2, KINDS)
    assert [history.free(kind) for kind in ("network", "host", "http")] == [1, 1, 0]
    assert history.retries == 2


def test_no_more_is_given_back_than_was_charged() -> None:
    history = failed(2)
    history.refund(1, KINDS)
    history.refund(5, KINDS)
    assert (history.free("network"), history.retries) == (2, 0)


def test_nothing_is_stored_if_nothing_is_given_back() -> None:
    history = failed(1)
    history.refund(0, KINDS)
    history.refund(1, ("outage",))
    assert history.counts == {"network": 1}
