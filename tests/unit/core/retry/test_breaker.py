"""Which hosts are not to be asked for a while, with the time as an argument."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scrapy_t8.core.retry.breaker import KNOWN_PAGE, REPEATED, SILENT, Breaker, Evidence


def breaker(failures: int = 3) -> Breaker:
    return Breaker(failures=failures, probe=5, longest=20, give_up=1000)


def answered_with_503(request: int) -> Evidence:
    return Evidence(request, is_silence=False)


def after_an_answer(request: int, *, is_first: bool = True) -> Evidence:
    """A failure at a host that has answered a page before."""
    return Evidence(request, is_first, known_page_from=99.0)


def opened() -> Breaker:
    """One whose host went down at 100."""
    made = breaker()
    assert [made.failed("h", Evidence(request), 100) for request in (1, 2, 3)] == [False, False, True]
    return made


def suspect() -> Breaker:
    """One whose host is suspect since 100."""
    made = breaker()
    assert not any(made.failed("h", after_an_answer(1), 100) for _ in range(REPEATED))
    return made


def test_failures_of_different_requests_open_it() -> None:
    made = breaker()
    assert not any(made.failed("h", answered_with_503(1), now) for now in range(100))
    assert not made.failed("h", answered_with_503(2), 100)
    made.succeeded("h", 101)
    assert not any(made.failed("h", answered_with_503(request), 102) for request in (3, 4))
    assert made.takes("h", 103)
    assert made.failed("h", answered_with_503(5), 104)
    assert not made.takes("h", 104)
    assert made.takes("other", 104)


def test_one_request_without_an_answer_opens_it_after_some_attempts() -> None:
    made = breaker(100)
    assert [made.failed("h", Evidence(1), now) for now in range(SILENT)] == [False] * (SILENT - 1) + [True]


def test_a_host_that_has_answered_before_is_suspect_until_the_first_probe() -> None:
    made = suspect()
    assert made["h"].is_suspect
    assert not made.takes("h", 100)
    assert made.wants_probe("h", 100)
    assert made.dump() == {}, "a suspicion is not stored"


def test_a_known_page_is_not_asked_for_again_at_once() -> None:
    made = breaker()
    for _ in range(REPEATED):
        made.failed("h", Evidence(1, known_page_from=100.7), 100)
    assert not made.wants_probe("h", 100.6)
    assert made.wants_probe("h", 100.7)


def test_failures_of_many_new_requests_are_checked_at_once() -> None:
    """Where every page fails at first, all requests would wait until the known page may be requested again."""
    made, repeated = breaker(), breaker()
    for request in (1, 2, 3):
        made.failed("h", Evidence(request, known_page_from=100.7), 100)
        repeated.failed("h", Evidence(1, is_first=False, known_page_from=100.7), 100)
    assert (made["h"].is_suspect, repeated["h"].is_suspect) == (True, True)
    assert made.wants_probe("h", 100)
    assert not repeated.wants_probe("h", 100)


@pytest.mark.parametrize("probes", range(4))
def test_such_a_check_takes_twice_as_many_requests_each_time_and_none_waits(probes: int) -> None:
    made, requests = breaker(), 0
    for number in range(probes + 1):
        while made.takes("h", 100):
            requests += 1
            made.failed("h", Evidence(requests, known_page_from=100.7), 100)
        assert requests == sum(3 << earlier for earlier in range(number + 1))
        assert made.wants_probe("h", 100), "at the time of the failure"
        made.probe("h")
        assert not made.known_page_answered("h", 100)


def test_a_known_page_that_is_answered_shows_that_the_host_is_up() -> None:
    made = suspect()
    made.probe("h")
    assert not made.known_page_answered("h", 101), "it was not down"
    assert made.takes("h", 101)
    assert not any(made.failed("h", after_an_answer(page, is_first=False), 103) for page in range(10))
    assert made.takes("h", 103), "pages that had failed before are no news"


def test_a_page_that_was_answered_lately_is_as_good_as_a_probe() -> None:
    """In a short crawl, a page that fails twice costs no second request for another page."""
    made, lately = breaker(), Evidence(1, is_first=False, known_page_from=99.0)
    for _ in range(REPEATED):
        made.failed("h", lately, 103)
    assert made.takes("h", 103)
    made.failed("h", lately, 103.9)
    assert made["h"].is_suspect, "one failure more"


def test_pages_that_fail_for_the_first_time_say_more_than_a_page_that_was_answered_lately() -> None:
    made = breaker()
    for request in (1, 2, 3):
        made.failed("h", after_an_answer(request), 100)
    assert made["h"].is_suspect


@pytest.mark.parametrize(("probes", "needed"), [(0, 3), (1, 6), (2, 12), (5, 96)])
def test_each_probe_takes_twice_as_many_requests_as_the_last(probes: int, needed: int) -> None:
    made = breaker()
    for number in range(probes):
        assert not made.known_page_answered("h", 100.0 + 60 * number)
    assert not any(made.failed("h", after_an_answer(request), 500) for request in range(1, needed))
    assert made.takes("h", 500)
    made.failed("h", after_an_answer(needed), 500)
    assert made.suspects() == {"h"}


def test_requests_that_had_failed_before_need_no_more_of_them() -> None:
    """Otherwise the last pages of a crawl would use up their retries in an outage."""
    made = breaker()
    for number in range(5):
        made.known_page_answered("h", 100.0 + 60 * number)
    for request in (1, 2, 3):
        made.failed("h", after_an_answer(request, is_first=False), 500)
    assert made["h"].is_suspect


def test_after_an_answer_or_an_outage_a_probe_takes_as_many_requests_as_the_first() -> None:
    made, again = breaker(), opened()
    made.known_page_answered("h", 100)
    made.succeeded("h", 101)
    again.probe("h")
    assert again.known_page_answered("h", 106)
    for after in (made, again):
        for request in (1, 2, 3):
            after.failed("h", after_an_answer(request), 110)
        assert after["h"].is_suspect


def failing_alone(times: int) -> Breaker:
    """One of whose host one request has failed so often, with nothing answered but probes."""
    made = breaker()
    for number in range(times):
        made.failed("h", after_an_answer(1, is_first=number == 0), 200 + 10 * number)
        if made["h"].is_suspect:
            made.probe("h")
            made.known_page_answered("h", 200 + 10 * number)
    return made


def check(made: Breaker, now: float, *, charged: int = 7, known_page_from: float | None = 99.0) -> bool:
    return made.check("h", 1, known_page_from, charged=charged, now=now)


def test_a_request_that_is_to_be_given_up_is_a_reason_for_a_check() -> None:
    """Two attempts fall into one outage and one attempt into another: no failure is repeated in the second one."""
    made = failing_alone(7)
    assert not made["h"].is_suspect
    assert check(made, 270)
    assert (made["h"].is_suspect, made.wants_probe("h", 270)) == (True, True)
    made.probe("h")
    assert made.probe_failed("h", 270), "there is an outage"
    assert made.refund("h", 1) == 1


def test_there_is_one_such_check_until_an_outage_or_an_answer() -> None:
    """Each attempt takes longer than a probe is trusted. Without the limit there would be no end."""
    made = failing_alone(7)
    assert check(made, 270)
    made.probe("h")
    made.known_page_answered("h", 270)
    made.failed("h", after_an_answer(1, is_first=False), 280)
    assert not check(made, 280)
    made.succeeded("h", 281)
    for now in range(282, 289):
        made.failed("h", after_an_answer(1, is_first=False), now)
        made.known_page_answered("h", now)
    assert check(made, 300)
    made.probe("h")
    made.probe_failed("h", 300)
    made.known_page_answered("h", 310)
    assert check(made, 320), "an outage has ended"


def test_no_check_where_another_request_has_failed_too() -> None:
    """Many pages that never work would be checked one after the other, and each check takes time from all of them."""
    made = failing_alone(7)
    made.failed("h", after_an_answer(2), 261)
    assert not made["h"].is_open
    assert not check(made, 270)


@pytest.mark.parametrize(
    ("times", "now", "options"),
    [
        (6, 270, {}),
        (6, 254, {"charged": 6}),
        (2, 270, {"charged": 2}),
        (7, 270, {"known_page_from": None}),
        (7, 270, {"known_page_from": 268.0}),
    ],
    ids=["another was answered", "a probe was answered lately", "few retries", "no known page", "answered lately"],
)
def test_no_check_before_a_request_is_given_up(times: int, now: float, options: dict[str, Any]) -> None:
    assert not check(failing_alone(times), now, **options)


def test_when_a_suspicion_can_be_tested() -> None:
    made = breaker()
    for _ in range(REPEATED):
        made.failed("h", Evidence(1, known_page_from=100.7), 100)
    assert made.next_test(100) == 100.7
    assert made.next_test(100.7) is None, "at once"
    made.probe("h")
    made.probe_failed("h", 101)
    assert made.suspects() == set(), "a host that is down for sure is probed for requests that are due"
    assert made.next_test(101) is None


def test_a_known_page_that_fails_shows_that_the_host_is_down() -> None:
    made = suspect()
    made.probe("h")
    assert made.probe_failed("h", 101)
    assert not made["h"].is_suspect
    assert made.opens_at("h") == 106
    assert made.dump()["h"] == {
        "since": 101,
        "interval": 5,
        "probe_at": 106,
        "paused_until": 0.0,
        "is_given_up": False,
        "refunds": [(1, 2)],
    }


def test_what_was_charged_before_the_host_counted_as_down_is_taken_back() -> None:
    made = suspect()
    made.failed("h", after_an_answer(2), 100)
    made.probe("h")
    made.probe_failed("h", 101)
    assert [made.refund("h", request) for request in (1, 2, 3, 1)] == [REPEATED, 1, 0, 0]


def test_the_failure_that_opens_it_is_not_charged_and_not_taken_back() -> None:
    made = opened()
    assert [made.refund("h", request) for request in (1, 2, 3)] == [1, 1, 0]


def test_probes_at_growing_intervals() -> None:
    made, asked = opened(), []
    now = 100.0
    for _ in range(9):
        while not made.wants_probe("h", now):
            now += 1
        made.probe("h", 9)
        assert not made.wants_probe("h", now + 100)
        asked.append(now)
        made.failed("h", Evidence(9), now)
    assert asked == [105, 110, 115, 120, 127, 136, 148, 164, 184]
    made.probe("h", 9)
    assert made.succeeded("h", now)
    assert made.takes("h", now)
    assert not made


def test_others_that_fail_meanwhile_change_nothing() -> None:
    made = opened()
    made.failed("h", Evidence(4), 101)
    assert made.opens_at("h") == 105
    made.probe("h", 5)
    made.failed("h", Evidence(4), 106)
    assert made["h"].probing == 5


def test_a_probe_that_says_nothing_is_followed_by_another() -> None:
    made = opened()
    made.probe("h", 7)
    made.ended("h", 6, 106)
    assert not made.wants_probe("h", 200)
    made.ended("h", 7, 106)
    assert [made.wants_probe("h", now) for now in (110, 111)] == [False, True]


def test_a_suspicion_that_cannot_be_confirmed_is_dropped() -> None:
    made = suspect()
    made.probe("h")
    made.ended("h", KNOWN_PAGE, 101)
    assert made.takes("h", 101)


def test_an_answer_that_comes_before_that_of_the_probe() -> None:
    made = suspect()
    made.probe("h")
    made.succeeded("h", 101)
    assert not made.probe_failed("h", 102)
    assert made.takes("h", 102)


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


def test_a_host_can_be_given_up_at_any_time_and_is_tried_anew_by_another_job() -> None:
    made = opened()
    made.begin_job(110)
    made.give_up("h")
    assert made.takes("h", 110)
    made.begin_job(110)
    assert not made
    assert made.dump() == {"h": None}


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
    assert [again.refund("h", request) for request in (1, 2, 3)] == [1, 1, 0], "a kill takes no attempt from a request"
    assert again.dump() == {"h": None}


def test_what_is_to_be_given_back_survives_restarts_and_the_end_of_the_outage() -> None:
    made = opened()
    made.probe("h", 3)
    assert made.succeeded("h", 106)
    for request in (1, 2):
        stored = json.loads(json.dumps(made.dump()["h"]))
        made = breaker()
        made.load({"h": stored})
        assert not made, "the host is up"
        assert made.refund("h", request) == 1
    assert made.dump() == {"h": None}


def test_another_job_gives_nothing_back() -> None:
    made = opened()
    made.succeeded("h", 106)
    made.begin_job(110)
    assert made.refund("h", 1) == 0
    assert made.dump() == {"h": None}


@pytest.mark.parametrize("evidence", [Evidence(1), after_an_answer(1)])
def test_without_a_limit_it_never_opens(evidence: Evidence) -> None:
    made = breaker(0)
    assert not any(made.failed("h", evidence, 1) for _ in range(100))
    assert made.takes("h", 1)
