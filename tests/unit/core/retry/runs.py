"""A run with the parts of retrying, and without a crawl."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from scrapy import Request

from scrapy_t8.core.frontier.frontier import Frontier
from scrapy_t8.core.items.expectations import Expectations
from scrapy_t8.core.page import Page
from scrapy_t8.core.resume_points import ResumePointTracker
from scrapy_t8.core.retry.policy import Policy
from scrapy_t8.core.retry.system import RetrySystem
from scrapy_t8.core.run import RunContext
from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.utils.handler_call import Handler
from tests.unit.core.parts import Control


class RetryRun:
    """A frontier and a retry system. Delays have no jitter: the n-th retry is due after 2^(n-1) seconds."""

    def __init__(self, context: RunContext, handlers: dict[str, Handler] | None = None) -> None:
        self.context = context
        self.control = Control()
        crawler: Any = context.crawler
        slot = SimpleNamespace(get_slot_key=lambda request: urlsplit(request.url).netloc)
        crawler.engine = SimpleNamespace(downloader=slot, crawl=lambda request: None)
        self.frontier = Frontier(
            context,
            self.control,
            ResumePointTracker(context),
            expectations=Expectations(context.codec),
        )
        self.queue = self.frontier.registry.new("/a/0", "a")
        policy = Policy({"jitter": 0.0}, {}, 600.0)
        self.retries = RetrySystem(context, self.control, self.frontier, policy=policy, handlers=handlers or {})

    def lease(self, request: Request) -> Page:
        """Admit and lease *request*. Return the page."""
        payload = self.context.codec.encode_request(request)
        entry = self.frontier.admit(self.queue, payload, request, None)
        return self.frontier.in_flight[self.frontier.lease(entry, request)]

    def commit(self) -> None:
        batch = CommitBatch()
        self.frontier.fill(batch)
        self.retries.fill(batch)
        self.context.store.commit(batch, self.context.record, self.context.clock())
        self.frontier.committed()

    def stat(self, name: str) -> Any:
        assert self.context.crawler.stats is not None
        return self.context.crawler.stats.get_value(f"t8/retry/{name}")
