"""The frontier against a plain model of it: random pushes, pops, settlements, commits and crashes."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from scrapy import Request

from scrapy_t8.core.frontier.frontier import Frontier
from scrapy_t8.core.frontier.queues import FifoQueue, FrontierQueue, LifoQueue
from scrapy_t8.core.items.expectations import Expectations
from scrapy_t8.core.page import Page, enter_request, leave_page
from scrapy_t8.core.resume_points import ResumePointTracker
from scrapy_t8.model.batch import CommitBatch
from tests.unit.core.parts import Control, kill, new_crawler, run_context

_crawler = cache(new_crawler)


class FrontierMachine(RuleBasedStateMachine):
    """``ready`` is the queue as a list; ``durable`` what the last commit must bring back."""

    kind: type[FrontierQueue] = LifoQueue

    @initialize(keep=st.integers(1, 4), load=st.integers(1, 3))
    def begin(self, keep: int, load: int) -> None:
        self.directory = tempfile.TemporaryDirectory()
        # Small numbers, so that a few requests already are too many for memory.
        from scrapy_t8.core.frontier import queues

        queues.KEEP, queues.LOAD = keep, load
        self.ready: list[int] = []
        self.flying: dict[int, tuple[Request, Page]] = {}
        self.ended: list[Page] = []
        self.done: set[int] = set()
        self.durable: set[int] = set()
        self.number = 0
        self.runs = 0
        self._open()

    def _open(self) -> None:
        self.context = context = run_context(Path(self.directory.name), crawler=_crawler())
        self.store = context.store
        points = ResumePointTracker(context)
        expectations = Expectations(context.codec)
        self.frontier = Frontier(context, Control(self._flush), points, expectations=expectations)
        self._new_queue()

    def _new_queue(self) -> None:
        self.queue = self.kind(self.frontier, "/h/0", lambda request: "h")

    def _flush(self) -> None:
        for page in self.ended:
            page.settle()
            self.frontier.settle(page)
        self.ended.clear()
        batch = CommitBatch()
        self.frontier.fill(batch)
        self.store.commit(batch, self.frontier.record, 0.0)
        self.frontier.committed()
        self.durable = set(self.ready) | set(self.flying)

    def _request(self, **kwargs: Any) -> Request:
        self.number += 1
        return Request(f"http://h/{self.number}", **kwargs)

    @rule(count=st.integers(1, 5))
    def push(self, count: int) -> None:
        for _ in range(count):
            self.queue.push(self._request())
            self.ready.append(self.number)

    @rule()
    def pop(self) -> None:
        leave_page()
        request = self.queue.pop()
        if not self.ready:
            assert request is None
            return
        assert request is not None
        number = self.ready.pop() if self.kind is LifoQueue else self.ready.pop(0)
        assert request.url == f"http://h/{number}"
        self.flying[number] = (request, self.frontier.leave(request))
        if not len(self.queue):
            self._new_queue()  # as Scrapy does with an empty one

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.flying)))
        _, page = self.flying.pop(number)
        page.release()
        self.ended.append(page)
        self.done.add(number)

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def replace(self, data: st.DataObject) -> None:
        """A retry: another request in the place of this one."""
        number = data.draw(st.sampled_from(sorted(self.flying)))
        _, page = self.flying.pop(number)
        page.hand_over()
        page.enter()
        self.queue.push(self._request())
        leave_page()
        self.ready.append(self.number)
        page.release()
        self.ended.append(page)

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), kinds=st.lists(st.sampled_from(["held", "plain", "trim"]), max_size=9))
    def push_for_the_time_being(self, data: st.DataObject, kinds: list[str]) -> None:
        """A callback yields requests that may share something, others are pushed meanwhile, and the callback ends."""
        source, page = self.flying[data.draw(st.sampled_from(sorted(self.flying)))]
        self.frontier.in_flight[source] = page
        for kind in kinds:
            if kind == "trim":
                self.queue.trim(1)
                continue
            if kind == "held":
                page.enter()
                enter_request(source)
            self.queue.push(self._request(meta={"own": {}} if kind == "held" else {}))
            self.ready.append(self.number)
            leave_page()
        assert page.pending == 1 + kinds.count("held")
        self.frontier.sharing.end(source)
        assert page.pending == 1
        del self.frontier.in_flight[source]

    @rule()
    def commit(self) -> None:
        self._flush()

    @rule(keep=st.integers(0, 3))
    def trim(self, keep: int) -> None:
        self.queue.trim(keep)

    @rule()
    def crash(self) -> None:
        kill(self.context)
        self.ready = sorted(self.durable)
        self.flying.clear()
        self.ended.clear()
        self._open()

    @invariant()
    def counts_agree(self) -> None:
        if hasattr(self, "queue"):
            assert len(self.queue) == len(self.ready)

    @invariant()
    def books_balance(self) -> None:
        if hasattr(self, "frontier") and not self.ended:
            assert self.frontier.record.ledger.difference(len(self.frontier)) == 0

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self._flush()
            assert self.store.count_entries() == len(self.frontier)
            self.store.close()
            self.directory.cleanup()


class LineMachine(FrontierMachine):
    kind = FifoQueue


TestStack = FrontierMachine.TestCase
TestLine = LineMachine.TestCase
TestStack.settings = TestLine.settings = settings(stateful_step_count=40, deadline=None)
