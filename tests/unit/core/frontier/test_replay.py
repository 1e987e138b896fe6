"""The children of a replayed page: claimed, held back, paired, admitted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scrapy import Request

from scrapy_t8.core.frontier import replay
from scrapy_t8.core.frontier.replay import ReplayGuard
from scrapy_t8.core.page import Page, current_page
from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.model.entry import START, Outcome
from scrapy_t8.model.stored.identity import earlier_keys
from tests.unit.core.conftest import Timers
from tests.unit.core.parts import Control, fingerprint63, run_context

PAGE = 7


class Run:
    """A guard over a real store, and the requests that it has admitted late."""

    def __init__(self, directory: Path) -> None:
        self.context = run_context(directory)
        self.control = Control()
        self.admitted: list[str] = []
        self.children = 100
        self._attempt = 0
        self._open()

    def _open(self) -> None:
        self.parts: list[Request] = []
        self.guard = ReplayGuard(self.context.store, self.context.codec, fingerprint63, control=self.control)
        self.guard.begin(self._admit)

    def page(self, entry: int = PAGE) -> Page:
        """Begin the next attempt of a page."""
        self._attempt += 1
        return Page(entry, self._attempt, is_replay=self.guard.has(entry))

    def commit(self) -> None:
        batch = CommitBatch()
        self.guard.drain(batch)
        self.context.store.commit(batch, self.context.record, 0.0)
        self.guard.committed()

    def kill(self) -> None:
        """Forget everything that is not in the store."""
        self._open()

    def begins(self, page: Page, *texts: str, filtered: bool = False) -> None:
        """Note that requests of *page* run from memory and that their responses are there."""
        for text in texts:
            self.children += 1
            request = request_of(text, filtered=filtered)
            self.guard.add(page, -self.children, request, self.context.codec.encode_request(request))

    def yields(self, page: Page, *texts: str) -> list[str]:
        """Yield a request for each text. Return the texts of those that enter the frontier at once."""
        return [text for text in texts if self._enqueue(page, text)]

    def _enqueue(self, page: Page, text: str) -> bool:
        request = request_of(text)
        if page.is_replay and self.guard.is_known_request(page, request, may_wait=True):
            return False
        payload = self.context.codec.encode_request(request)
        if self.guard.was_part(page, request, payload):
            self.parts.append(request)
            return True
        self.children += 1
        self.guard.add(page, self.children, request, payload)
        return True

    def _admit(self, request: Request) -> None:
        page = current_page()
        assert page is not None
        text = f"{request.meta['name']}@{request.meta['at']}"
        payload = self.context.codec.encode_request(request)
        assert not self.guard.is_known_request(page, request, may_wait=True)
        self.admitted.append(text)
        if self.guard.was_part(page, request, payload):
            self.parts.append(request)
            return
        self.children += 1
        self.guard.add(page, self.children, request, payload)

    def taken_as_parts(self) -> list[str]:
        """Return the texts of the requests that must run from memory, and forget them."""
        texts = sorted(f"{request.meta['name']}@{request.meta['at']}" for request in self.parts)
        self.parts.clear()
        return texts

    def yielded_before(self, *texts: str) -> Page:
        """Let an attempt of a page yield requests and be killed. Return the page of the next attempt."""
        page = self.page()
        self.yields(page, *texts)
        self.commit()
        self.kill()
        return self.page()

    def end(self, page: Page) -> None:
        """Let the callback of a page end."""
        self.guard.output_ended(page)
        self.control.end(page)


def request_of(text: str, *, filtered: bool = False) -> Request:
    name, _, at = text.partition("@")
    return Request("http://a", meta={"name": name, "at": at}, dont_filter=not filtered)


@pytest.fixture
def run(tmp_path: Path, timers: Timers, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.setattr(replay, "call_later", timers)
    made = Run(tmp_path)
    yield made
    made.context.store.close()


def test_a_first_attempt_yields_everything(run: Run) -> None:
    page = run.page()
    assert run.yields(page, "a@1", "a@1", "b@1") == ["a@1", "a@1", "b@1"]
    assert not run.guard.holds_back(page)


def test_what_ran_from_memory_is_a_part_of_its_page_again_in_each_attempt(run: Run) -> None:
    page = run.page()
    run.yields(page, "a@1")
    run.begins(page, "b@1", "b@1")
    for _ in range(2):
        run.commit()
        run.kill()
        page = run.page()
        assert run.yields(page, "a@1", "b@1", "b@1") == ["b@1", "b@1"]
        assert run.taken_as_parts() == ["b@1", "b@1"]
    assert run.yields(page, "b@1") == ["b@1"]
    assert run.taken_as_parts() == []


def test_what_ran_from_memory_is_a_part_again_although_it_carries_a_new_value(run: Run) -> None:
    page = run.page()
    run.yields(page, "a@1", "c@1")
    run.begins(page, "b@1")
    run.commit()
    run.kill()
    page = run.page()
    assert run.yields(page, "a@2", "b@2", "c@2") == []
    run.end(page)
    assert run.admitted == run.taken_as_parts() == ["b@2"]


def test_what_the_seen_set_covers_is_a_part_again(run: Run) -> None:
    page = run.page()
    run.begins(page, "b@1", filtered=True)
    run.commit()
    run.kill()
    page, request = run.page(), request_of("b@2", filtered=True)
    payload = run.context.codec.encode_request(request)
    assert not run.guard.was_part(run.page(PAGE + 1), request, payload)
    assert run.guard.was_part(page, request, payload)
    assert not run.guard.was_part(page, request, payload)


def test_what_is_equal_is_claimed_once(run: Run) -> None:
    page = run.yielded_before("a@1", "a@1", "b@1")
    assert run.yields(page, "b@1", "a@1", "a@1") == []
    assert run.yields(page, "b@1", "a@1") == ["b@1", "a@1"]
    assert not run.guard.holds_back(page)


def test_what_is_not_equal_is_held_back_and_paired(run: Run) -> None:
    page = run.yielded_before("a@1", "b@1")
    assert run.yields(page, "c@2", "b@2", "a@2", "d@2") == []
    assert run.guard.holds_back(page)
    assert run.admitted == []
    run.end(page)
    assert run.admitted == ["c@2", "d@2"]
    assert run.control.ended == [page]


def test_what_differs_by_nothing_else_is_paired_in_order(run: Run) -> None:
    page = run.yielded_before("@1", "@2")
    assert run.yields(page, "@3", "@4", "@5") == []
    run.end(page)
    assert run.admitted == ["@5"]


def test_what_is_equal_goes_before_what_was_held_back(run: Run) -> None:
    page = run.yielded_before("a@")
    assert run.yields(page, "b@", "a@") == []
    run.end(page)
    assert run.admitted == ["b@"]


def test_another_callback_or_method_has_nothing_to_do_with_it(run: Run) -> None:
    page = run.yielded_before("a@1")
    spider: Any = run.context.crawler.spider
    for request in (Request("http://a", spider.parse), Request("http://a", method="POST"), Request("http://b")):
        assert not run.guard.is_known_request(page, request, may_wait=True)
    assert not run.guard.is_known_request(page, Request("http://a"), may_wait=False)
    assert not run.guard.is_known_request(page, Request("http://a", lambda response: None), may_wait=True)


def test_a_kill_before_the_end_loses_nothing(run: Run) -> None:
    """Neither what was held back nor what was admitted late comes again, or fails to come."""
    page = run.yielded_before("a@1", "b@1")
    run.yields(page, "c@2", "a@2")
    run.commit()
    run.kill()
    page = run.page()
    run.yields(page, "c@3", "a@3", "b@3")
    run.end(page)
    assert run.admitted == ["c@3"]
    run.commit()
    run.kill()
    page = run.page()
    run.yields(page, "b@4", "c@4", "d@4", "a@4")
    run.end(page)
    assert run.admitted == ["c@3", "d@4"]


def test_a_page_that_is_tried_again_admits_nothing(run: Run) -> None:
    page = run.yielded_before("a@1")
    run.yields(page, "b@2")
    page.outcome = Outcome.RETRY
    run.end(page)
    assert (run.admitted, run.control.ended) == ([], [page])


def test_a_page_that_is_given_up_admits_what_it_has_yielded(run: Run) -> None:
    page = run.yielded_before("a@1")
    run.yields(page, "a@2", "b@2")
    page.outcome = Outcome.DEAD
    run.end(page)
    assert run.admitted == ["b@2"]


def test_what_is_held_back_waits_for_requests_that_run_from_memory(run: Run) -> None:
    """They are a part of the page, and may yield what was remembered."""
    page = run.yielded_before("a@")
    page.hold()
    run.yields(page, "b@")
    run.end(page)
    assert run.admitted == []
    run.yields(page, "a@")
    run.end(page)
    assert run.admitted == ["b@"]


def test_an_idle_crawl_waits_no_longer(run: Run) -> None:
    page = run.yielded_before("a@1")
    page.hold()
    run.yields(page, "a@2", "b@2")
    run.end(page)
    assert run.guard.pair_all()
    assert run.admitted == ["b@2"]
    assert not run.guard.pair_all()


def test_a_page_that_yields_nothing_for_a_while_waits_no_longer(run: Run, timers: Timers) -> None:
    """Its requests are admitted without a pair: nothing is lost, whatever they are."""
    page = run.yielded_before("a@1")
    run.yields(page, "b@2", "a@2")
    assert [timer.delay for timer in timers.pending] == [replay.PATIENCE]
    timers.run()
    assert run.admitted == ["b@2", "a@2"]
    assert not timers.pending
    assert page.pending == 1


def test_start_is_waited_for_a_shorter_time(run: Run, timers: Timers) -> None:
    run.yields(run.page(START), "a@1")
    run.commit()
    run.kill()
    start = run.page(START)
    run.yields(start, "a@2", "b@2")
    assert [timer.delay for timer in timers.pending] == [replay.PATIENCE_OF_START]
    assert not run.guard.pair_all()
    run.guard.pair(start)
    assert run.admitted == ["b@2"]


def test_no_more_than_so_many_are_held_back(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "MOST", 3)
    page = run.yielded_before("a@1", "b@1", "c@1", "d@1")
    run.yields(page, "a@2", "b@2", "c@2")
    assert not run.guard.holds_back(page)
    run.yields(page, "d@2", "e@2")
    run.end(page)
    assert run.admitted == ["e@2"]


@pytest.mark.parametrize("number", [0, 1], ids=["the fingerprint", "a hash"])
def test_children_that_earlier_releases_have_remembered(run: Run, number: int) -> None:
    request = Request("http://a", meta={"name": "a"}, dont_filter=True)
    key = earlier_keys(fingerprint63(request), run.context.codec.encode_request(request))[number]
    run.context.store.commit(CommitBatch(spawned=[(PAGE, key, 1, 0)]), run.context.record, 0.0)
    run.kill()
    page = run.page()
    assert run.guard.is_known_request(page, request, may_wait=True)
    assert not run.guard.is_known_request(page, request, may_wait=True)


def test_a_page_that_fails_within_one_commit_is_a_replay_afterwards(run: Run) -> None:
    """Its children are remembered when they are committed, and its next attempt may come in the same run."""
    page = run.page()
    run.yields(page, "a@1")
    retry: Any = object()
    page.retry_later(retry)
    page.settle()
    run.guard.settle(page)
    run.commit()
    again = run.page()
    assert again.is_replay
    run.yields(again, "a@2")
    run.end(again)
    assert run.admitted == []


def test_a_page_that_has_ended_is_forgotten(run: Run) -> None:
    page = run.yielded_before("a@1", "b@1")
    run.yields(page, "a@2")
    run.end(page)
    page.settle()
    run.guard.settle(page)
    run.commit()
    assert not run.guard.has(PAGE)
    assert run.context.store.parents() == set()
