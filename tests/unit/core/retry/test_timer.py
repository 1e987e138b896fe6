"""The retry timer: when it is awake, and what it does then."""

from __future__ import annotations

from typing import Any

import pytest
from scrapy import Request

from scrapy_t8.core.frontier.frontier import Frontier
from scrapy_t8.core.items.expectations import Expectations
from scrapy_t8.core.page import Page, current_page
from scrapy_t8.core.resume_points import ResumePointTracker
from scrapy_t8.core.retry.handlers import Handlers
from scrapy_t8.core.retry.timer import AT_A_TIME, SOON, RetryTimer
from scrapy_t8.core.run import RunContext
from scrapy_t8.model.attempts import AttemptHistory, ScheduledRetry
from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.model.entry import entry_id
from tests.support.clock import Clock
from tests.unit.core.conftest import Timers
from tests.unit.core.parts import Control


class Engine:
    """Takes requests, and says in the context of which page each came."""

    def __init__(self) -> None:
        self.crawled: list[tuple[str, Page | None]] = []

    def crawl(self, request: Request) -> None:
        self.crawled.append((request.url, current_page()))


class FakeHandlers(Handlers):
    """Handles the task type BY_HAND."""

    def __init__(self) -> None:
        super().__init__({"BY_HAND": print}, 1.0, None)  # type: ignore[arg-type, dict-item]
        self.ran: list[int | None] = []

    def run(self, request: Request, page: Page) -> None:
        assert page.entry is not None
        self.busy.add(page.entry)
        self.ran.append(page.entry)


class Run:
    def __init__(self, context: RunContext, clock: Clock, timers: Timers) -> None:
        self.context, self.clock, self.timers = context, clock, timers
        self.control = Control()
        self.engine = Engine()
        crawler: Any = context.crawler
        crawler.engine = self.engine
        points = ResumePointTracker(context)
        self.frontier = Frontier(context, self.control, points, expectations=Expectations(context.codec))
        self.handlers = FakeHandlers()
        self.timer = RetryTimer(context, self.control, self.frontier, handlers=self.handlers)

    def store(self, *dues: float, task_type: str = "") -> None:
        """Put waiting entries into the store."""
        history = AttemptHistory(task_type=task_type).dumps()
        payload = self.context.codec.encode_request(Request("http://a/1"))
        first = self.frontier.next_id(1)
        batch = CommitBatch(
            waiting=[ScheduledRetry(first + n, due, "a", payload, history) for n, due in enumerate(dues)]
        )
        self.frontier.record.next_seq += len(dues)
        self.context.store.commit(batch, self.context.record, 0.0)
        self.frontier.recount()


@pytest.fixture
def run(context: RunContext, clock: Clock, timers: Timers, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr("scrapy_t8.core.scrapy_private.schedule_next_call", lambda crawler: None)
    return Run(context, clock, timers)


def test_the_timer_is_set_for_the_earliest(run: Run) -> None:
    run.timer.wake_at(run.clock.now + 30)
    run.timer.wake_at(run.clock.now + 10)
    run.timer.wake_at(run.clock.now + 20)
    run.timer.wake_at(None)
    assert [timer.delay for timer in run.timers.pending] == [10]


def test_what_is_due_goes_back_into_the_crawl_in_its_page(run: Run) -> None:
    run.store(run.clock.now - 1, run.clock.now + 100)
    run.timer.wake_at(run.clock.now)
    run.timers.run()
    ((url, page),) = run.engine.crawled
    assert url == "http://a/1"
    assert page is not None
    assert page.was_waiting
    assert run.control.ended == [page]
    assert [timer.delay for timer in run.timers.pending] == [100]


def test_a_page_that_settles_for_a_retry_wakes_the_timer(run: Run) -> None:
    page = Page(entry_id(1, 1))
    page.retry_later(ScheduledRetry(page.entry or 0, run.clock.now + 7, "a", b"", "{}"))
    run.timer.settle(page)
    assert [timer.delay for timer in run.timers.pending] == [7]


def test_a_request_in_memory_holds_its_page(run: Run) -> None:
    page = Page(1)
    run.timer.hold_in_memory(run.clock.now + 5, Request("http://a/memory"), page)
    assert (page.pending, len(run.timer), run.timer.next_due()) == (2, 1, run.clock.now + 5)
    run.clock.now += 5
    run.timers.run()
    assert run.engine.crawled == [("http://a/memory", page)]
    assert page.pending == 1


def test_a_long_commit_is_tried_again_soon(run: Run) -> None:
    run.store(run.clock.now)
    run.control.commit = lambda: False  # type: ignore[method-assign]
    run.timer.wake_at(run.clock.now)
    run.timers.run()
    assert run.engine.crawled == []
    (timer,) = run.timers.pending
    assert timer.delay == pytest.approx(SOON)


def test_many_are_woken_in_several_turns(run: Run) -> None:
    run.store(*[run.clock.now] * (AT_A_TIME + 5))
    run.timer.wake_at(run.clock.now)
    run.timers.run()
    assert len(run.engine.crawled) == AT_A_TIME
    assert [timer.delay for timer in run.timers.pending] == [0]


def test_a_handler_takes_entries_of_its_type_once(run: Run) -> None:
    run.store(run.clock.now, task_type="BY_HAND")
    run.timer.wake_at(run.clock.now)
    run.timers.run()
    assert len(run.handlers.ran) == 1
    assert run.engine.crawled == []
    assert run.timer.next_due() is None, "a handler works on it"


def test_an_entry_that_cannot_be_read_is_buried(run: Run) -> None:
    broken = ScheduledRetry(run.frontier.next_id(1), run.clock.now, "a", b"no request", AttemptHistory().dumps())
    run.context.store.commit(CommitBatch(waiting=[broken]), run.context.record, 0.0)
    run.timer.wake_at(run.clock.now)
    run.timers.run()
    (page,) = run.control.ended
    assert page.letter is not None
    assert page.letter.kind == "payload"


def test_nothing_is_woken_once_it_is_closed(run: Run) -> None:
    run.timer.wake_at(run.clock.now + 1)
    run.timer.close()
    run.timer.wake_at(run.clock.now + 1)
    assert not run.timers.pending
