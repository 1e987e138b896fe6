"""Which hosts are not to be asked for a while, with the time as an argument."""

from __future__ import annotations

from scrapy_t8.core.retry.breaker import Breaker


def breaker(failures: int = 3) -> Breaker:
    return Breaker(failures=failures, probe=5, longest=20, give_up=1000)


def opened() -> Breaker:
    """One whose host went down at 100."""
    made = breaker()
    assert [made.failed("h", request, 100) for request in (1, 2, 3)] == [False, False, True]
    return made


def test_only_a_run_of_different_requests_opens_it() -> None:
    made = breaker()
    assert not any(made.failed("h", 1, now) for now in range(100))
    assert not made.failed("h", 2, 100)
    made.succeeded("h", 101)
    assert not any(made.failed("h", request, 102) for request in (3, 4))
    assert made.takes("h", 103)
    assert made.failed("h", 5, 104)
    assert not made.takes("h", 104)
    assert made.takes("other", 104)


def test_probes_at_growing_intervals() -> None:
    made, asked = opened(), []
    now = 100.0
    for _ in range(5):
        while not made.wants_probe("h", now):
            now += 1
        made.probe("h")
        assert not made.wants_probe("h", now + 100)
        asked.append(now)
        made.failed("h", 9, now)
    assert asked == [105, 115, 135, 155, 175]
    made.probe("h")
    assert made.succeeded("h", now)
    assert made.takes("h", now)
    assert not made


def test_others_that_fail_meanwhile_change_nothing() -> None:
    made = opened()
    made.failed("h", 4, 101)
    assert made.opens_at("h") == 105


def test_a_probe_that_tells_nothing_is_followed_by_another() -> None:
    made = opened()
    made.probe("h")
    made.ended("h")
    assert made.wants_probe("h", 105)


def test_a_pause() -> None:
    made = breaker()
    made.pause("h", 50)
    made.pause("h", 40)
    assert (made.takes("h", 49), made.takes("h", 50), made.wants_probe("h", 60)) == (False, True, False)
    assert not made.succeeded("h", 45)
    assert not made.takes("h", 49)


def test_a_host_that_stays_down_is_given_up() -> None:
    made = opened()
    assert made.is_open("h", 1099)
    assert not made.is_open("h", 1100)
    assert made.takes("h", 1100)


def test_it_survives_a_restart() -> None:
    made = opened()
    made.pause("p", 300)
    made.probe("h")
    stored = made.dump()
    assert made.dump() == {}
    again = breaker()
    again.load({host: record for host, record in stored.items() if record is not None})
    assert (again.takes("h", 104), again.wants_probe("h", 105), again.takes("p", 299)) == (False, True, False)
    again.succeeded("h", 106)
    assert again.dump() == {"h": None}


def test_without_a_limit_it_never_opens() -> None:
    made = breaker(0)
    assert not any(made.failed("h", request, 1) for request in range(100))
    assert made.takes("h", 1)
