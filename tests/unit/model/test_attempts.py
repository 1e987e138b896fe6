"""How the failures of a request are counted."""

from __future__ import annotations

from scrapy_t8.model.attempts import AttemptHistory


def failed(times: int) -> AttemptHistory:
    history = AttemptHistory()
    for number in range(times):
        history.add(float(number), "network", "timeout", charged=True)
    return history


def test_failures_that_are_given_back_are_free_attempts_later() -> None:
    history = failed(3)
    history.refund(2)
    assert (history.counts["network"], history.free, history.retries) == (3, 2, 1)
    history.add(9.0, "network", "timeout", charged=False, uses_free=True)
    assert (history.counts["network"], history.free, history.retries) == (3, 1, 2)
    assert AttemptHistory.loads(history.dumps()) == history


def test_no_more_is_given_back_than_was_charged() -> None:
    history = failed(2)
    history.refund(1)
    history.refund(5)
    assert (history.free, history.retries) == (2, 0)


def test_nothing_is_stored_if_nothing_is_given_back() -> None:
    history = failed(1)
    history.refund(0)
    assert history.counts == {"network": 1}
