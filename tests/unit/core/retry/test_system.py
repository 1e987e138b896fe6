"""What becomes of a failed request: retried, given up, or counted as a success in the end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import pytest
from scrapy import Request

from scrapy_t8.core.page import Outcome, Page
from scrapy_t8.core.retry.breaker import REPEATED, Evidence
from scrapy_t8.core.retry.failure import BAN, HANDLED, HOST, NETWORK, PARSE, THROTTLED, Failure
from scrapy_t8.core.retry.system import RetrySystem
from scrapy_t8.core.run import RunContext
from scrapy_t8.errors import CannotStore
from scrapy_t8.model.attempts import DUE, AttemptHistory
from scrapy_t8.model.dead_letter import DeadLetter
from tests.support.clock import Clock
from tests.unit.core.conftest import Timers

from .runs import RetryRun

TIMEOUT = Failure(NETWORK, "timeout")
BUG = Failure(PARSE, "ValueError: x", keeps_items=True)


@pytest.fixture
def run(context: RunContext, timers: Timers) -> RetryRun:
    return RetryRun(context)


def leave(run: RetryRun, request: Request, page: Page) -> None:
    run.retries.request_left_engine(request, page, in_memory=False)


def test_a_failed_download_becomes_a_retry_that_is_due_later(run: RetryRun, clock: Clock) -> None:
    request = Request("http://a/1")
    page = run.lease(request)
    again = run.retries.retry(request, TIMEOUT, None)
    assert again is not None
    assert again.meta[DUE] == clock.now + 1
    page.hand_over()
    due = run.retries.take_due(again)
    assert due == clock.now + 1
    assert DUE not in again.meta
    run.retries.schedule(again, page, due, in_memory=False)
    leave(run, request, page)
    assert page.outcome is Outcome.RETRY
    assert page.retry is not None
    assert (page.retry.id, page.retry.due, page.retry.slot) == (page.entry, clock.now + 1, "a")
    history = AttemptHistory.loads(page.retry.story)
    assert history.attempts == [(clock.now, NETWORK, "timeout")]
    assert run.stat("count/network") == 1


def test_delays_grow_and_the_last_failure_is_final(run: RetryRun, clock: Clock) -> None:
    request = Request("http://a/1", meta={"max_retry_times": 2})
    page = run.lease(request)
    delays = [run.retries.retry(request, TIMEOUT, None) for _ in range(3)]
    assert [again and again.meta[DUE] - clock.now for again in delays] == [1, 2, None]
    leave(run, request, page)
    assert page.outcome is Outcome.DEAD
    assert page.letter is not None
    assert (page.letter.kind, page.letter.error, page.letter.entry) == (NETWORK, "timeout", page.entry)
    assert run.stat("buried") == 1


def test_a_callback_that_raises_buries_its_page_and_keeps_the_items(run: RetryRun) -> None:
    request = Request("http://a/1")
    page = run.lease(request)
    page.own_items().entered += 1
    run.retries.record_failure(request, BUG)
    leave(run, request, page)
    assert page.outcome is Outcome.DEAD
    assert page.items.entered == 1


def test_a_failure_that_asks_for_a_retry_comes_before_a_bug(run: RetryRun) -> None:
    request = Request("http://a/1")
    page = run.lease(request)
    page.own_items().entered += 1
    run.retries.record_failure(request, BUG)
    run.retries.record_failure(request, Failure(BAN, "captcha", keeps_items=False))
    run.retries.record_first_failure(request, TIMEOUT)
    leave(run, request, page)
    assert page.outcome is Outcome.RETRY
    assert page.items.entered == 0, "the next attempt yields the items again"


def test_a_page_that_was_replaced_goes_on_in_the_other_entry(run: RetryRun) -> None:
    request = Request("http://a/1")
    page = run.lease(request)
    run.retries.record_failure(request, Failure(HOST, "503", final=True))
    page.hand_over()
    page.replace()
    leave(run, request, page)
    page.settle()
    assert page.outcome is Outcome.REPLACED


def test_success_resolves_the_dead_letter_of_the_request(run: RetryRun) -> None:
    request = Request("http://a/1")
    page = run.lease(request)
    page.begin_history(AttemptHistory()).add(0.0, NETWORK, "timeout", charged=True)
    fingerprint = run.context.fingerprint(request)
    run.frontier.outbox.bury(DeadLetter(0, b"", NETWORK, "timeout", 0.0, fingerprint=fingerprint))
    leave(run, request, page)
    assert page.outcome is Outcome.PENDING
    assert fingerprint not in run.frontier.outbox.fingerprints
    assert run.stat("succeeded") == 1


def test_an_outage_is_charged_to_no_request(run: RetryRun, clock: Clock) -> None:
    failures = run.context.config.breaker_failures
    requests = [Request(f"http://a/{number}") for number in range(failures + 3)]
    pages = [run.lease(request) for request in requests]
    for request in requests:
        assert run.retries.retry(request, TIMEOUT, None) is not None
    assert run.retries.breaker.is_open("a", clock.now)
    charged = [page.history.retries for page in pages if page.history is not None]
    assert charged == [1] * (failures - 1) + [0] * 4


def test_a_kill_takes_no_attempt_from_a_request_that_an_outage_has_failed(run: RetryRun, clock: Clock) -> None:
    """The run ends before the request is tried again. In the next run the host is up, and the page fails by itself."""
    requests = [Request(f"http://a/{number}") for number in range(run.context.config.breaker_failures)]
    pages = [run.lease(request) for request in requests]
    for request in requests:
        run.retries.retry(request, TIMEOUT, None)
    run.commit()
    assert pages[0].history is not None
    after = RetryRun(run.context)
    after.retries.breaker.load(run.context.store.hosts())
    after.retries.breaker.succeeded("a", clock.now)
    page = after.lease(requests[0])
    history = page.begin_history(AttemptHistory.loads(pages[0].history.dumps()))
    for failures, charged in enumerate((1, 2), 2):
        after.retries.retry(requests[0], TIMEOUT, None)
        assert (len(history.attempts), history.counts[NETWORK]) == (failures, charged)
        assert history.retries == charged, "the attempt that was given back is used"


def test_a_host_is_probed_only_if_a_request_waits(run: RetryRun, clock: Clock) -> None:
    asked: list[str] = []

    def known_page(host: str, *, at_once: bool) -> None:
        asked.append(host)

    run.retries.decisions.hosts.known_page = known_page  # type: ignore[method-assign]
    assert not run.retries._probes.begin("a", at_once=False)
    assert asked == []
    run.frontier.lease_in_memory(page := Page(1), request := Request("http://a/memory"))
    run.retries.schedule(request, page, clock.now + 30, in_memory=True)
    assert not run.retries._probes.begin("a", at_once=False)
    assert asked == ["a"]


def test_a_suspicion_that_cannot_be_tested_yet_wakes_the_crawl(run: RetryRun, clock: Clock) -> None:
    for _ in range(REPEATED):
        run.retries.breaker.failed("a", Evidence(1, known_page_from=clock.now + 3), clock.now)
    run.retries.gate(deque())
    run.retries.wait_for_hosts()
    assert run.retries.timer._timer_due == clock.now + 3


def test_a_proxy_that_fails_says_nothing_about_the_host(run: RetryRun, clock: Clock) -> None:
    for number in range(run.context.config.breaker_failures + 3):
        request = Request(f"http://a/{number}", meta={"proxy": "http://user:word@proxy:8080"})
        run.lease(request)
        assert run.retries.retry(request, TIMEOUT, None) is not None
    assert not run.retries.breaker


@pytest.mark.parametrize("own", [None, "http://own:1"], ids=["of a middleware", "of the spider"])
def test_a_retry_keeps_only_a_proxy_that_the_spider_has_chosen(run: RetryRun, own: str | None) -> None:
    request = Request("http://a/1", meta={"proxy": own} if own else {})
    run.lease(request)
    request.meta.update({"proxy": own or "http://chosen:1", "_auth_proxy": "x"})
    again = run.retries.retry(request, TIMEOUT, None)
    assert again is not None
    assert again.meta.get("proxy") == own
    assert ("_auth_proxy" in again.meta) == (own is not None)


def test_a_handler_that_fails_says_nothing_about_the_host(run: RetryRun) -> None:
    request = Request("http://a/1")
    page = run.lease(request)
    attempts = 0
    while page.outcome is not Outcome.DEAD:
        attempts += 1
        run.retries.handler_ended(request, page, Failure(HOST, "no answer", reason=HANDLED))
    assert attempts == 7
    assert not run.retries.breaker


def test_one_request_is_enough_to_see_an_outage(run: RetryRun, clock: Clock) -> None:
    request = Request("http://a/1")
    run.lease(request)
    for _ in range(20):
        clock.now += 60
        assert run.retries.retry(request, TIMEOUT, None) is not None
    assert run.retries.breaker.is_open("a", clock.now)


def test_a_host_that_throttles_is_paused_for_as_long_as_it_asks(run: RetryRun, clock: Clock) -> None:
    request = Request("http://a/1")
    run.lease(request)
    run.retries.retry(request, Failure(THROTTLED, "429", retry_after=30.0), None)
    assert run.retries.breaker.opens_at("a") == clock.now + 30


def test_a_request_in_memory_waits_in_memory(run: RetryRun, clock: Clock) -> None:
    request, page = Request("http://a/memory"), Page(1)
    run.frontier.lease_in_memory(page, request)
    again = run.retries.retry(request, TIMEOUT, None)
    assert again is not None
    run.retries.schedule(again, page, run.retries.take_due(again) or 0.0, in_memory=True)
    assert page.outcome is Outcome.PENDING
    assert page.pending == 2
    assert run.retries.timer.next_due() == clock.now + 1


def test_a_request_in_memory_that_is_given_up_is_dead_in_the_ledger_with_its_page(run: RetryRun) -> None:
    request, page = Request("http://a/memory"), Page(1)
    run.frontier.lease_in_memory(page, request)
    run.retries.record_failure(request, BUG)
    run.retries.request_left_engine(request, page, in_memory=True)
    assert page.outcome is Outcome.PENDING
    run.commit()
    assert run.context.store.box.letters() == []
    page.settle()
    run.frontier.settle(page)
    run.commit()
    (letter,) = run.context.store.box.letters()
    assert (letter.entry, letter.kind, letter.job) == (0, PARSE, run.context.record.id)
    assert (run.context.record.ledger.admitted, run.context.record.ledger.dead) == (1, 1)


def test_a_file_that_failed_becomes_an_entry_of_the_page(run: RetryRun, clock: Clock) -> None:
    page = run.lease(Request("http://a/1"))
    page.enter()
    run.retries.enqueue_task(Request("http://a/file"), TIMEOUT)
    assert [retry.due for retry in page.new_retries] == [clock.now + 1]
    assert len(run.frontier.waiting) == 0
    page.settle()
    run.frontier.settle(page)
    assert len(run.frontier.waiting) == 1


def test_a_page_that_crashes_the_process_alone_is_buried_at_the_start(run: RetryRun) -> None:
    limit = run.context.config.crash_limit
    request = Request("http://a/1")
    page = run.lease(request)
    run.commit()
    (entry,) = run.context.store.read(run.queue.id, newest_first=True, beyond=None, limit=10)
    suspects = run.frontier.suspects
    suspects.append(type(entry)(entry.id, entry.payload, crashes=limit + 1))
    assert run.retries.on_start() == (1, 0)
    assert not suspects
    run.commit()
    (letter,) = run.context.store.box.letters()
    assert (letter.kind, letter.entry) == ("crash", page.entry)


@pytest.mark.parametrize("failed", [False, True])
def test_the_result_of_a_handler_settles_its_page(run: RetryRun, failed: bool) -> None:
    request = Request("http://a/1")
    page = run.lease(request)
    run.retries.handler_ended(request, page, TIMEOUT if failed else None)
    assert run.control.ended == [page]
    assert page.outcome is (Outcome.RETRY if failed else Outcome.PENDING)


def test_what_cannot_be_stored_waits_in_memory(run: RetryRun, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise CannotStore("a lock")

    request = Request("http://a/1")
    page = run.lease(request)
    again = run.retries.retry(request, TIMEOUT, None)
    assert again is not None
    page.hand_over()
    monkeypatch.setattr(run.retries.decisions, "scheduled", refuse)
    run.retries.schedule(again, page, 5.0, in_memory=False)
    assert page.outcome is Outcome.PENDING
    assert page.pending == 2


def test_hosts_that_have_changed_go_into_the_commit(run: RetryRun, clock: Clock) -> None:
    run.retries.breaker.pause("a", clock.now + 30)
    run.commit()
    assert run.context.store.hosts()["a"]["paused_until"] == clock.now + 30


def test_a_breaker_lives_on_in_the_next_run(run: RetryRun, context: RunContext, clock: Clock) -> None:
    run.retries.breaker.pause("a", clock.now + 30)
    run.commit()
    make: Callable[[RunContext], RetryRun] = RetryRun
    again: RetrySystem = make(context).retries
    assert again.breaker.opens_at("a") == clock.now + 30
