"""What becomes of a failed request: the policy is asked, the breaker told, and the page gets its verdict.

The doors note a :class:`~scrapy_t8.core.retry.failure.Failure` for a request in flight; when the engine
lets the request go, its page waits for another attempt or is buried.
A request that runs from memory has no entry: it waits in memory.
"""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.downloadermiddlewares.retry import get_retry_request

from scrapy_t8.core.frontier.frontier import Frontier
from scrapy_t8.core.page import Page, current_page
from scrapy_t8.errors import CannotStore, ConfigError
from scrapy_t8.model.attempts import AttemptHistory, ScheduledRetry
from scrapy_t8.model.dead_letter import DeadLetter
from scrapy_t8.model.entry import Entry
from scrapy_t8.model.failed_task import TASK_TYPE, task_id

from .breaker import Breaker
from .failure import OF_THE_HOST, THROTTLED, Failure
from .policy import Policy

logger = logging.getLogger(__name__)

UNLIMITED = 1 << 30


class RetryDecisions:
    """The failures of one run.

    :param hold: takes a request that runs from memory as a part of a page, until it is due.
    :param code: tells one state of the spider's code from another.
    """

    def __init__(
        self,
        crawler: Crawler,
        frontier: Frontier,
        policy: Policy,
        breaker: Breaker,
        hold: Callable[[float, Request, Page], None],
        code: str,
        clock: Callable[[], float],
    ) -> None:
        self.breaker = breaker
        self.policy = policy
        self._crawler = crawler
        self._frontier = frontier
        self._hold = hold
        self.code = code
        self._clock = clock
        self._dice = random.Random()
        self._noted: dict[Request, Failure] = {}
        self._due: dict[Request, float] = {}
        self._capped: set[str] = set()
        """Hosts that have asked for more than they get."""
        self._live: dict[Request, AttemptHistory] = {}
        """The stories of requests that run from memory."""

    # -- what the doors tell -------------------------------------------------------------------------------------

    def is_ours(self, request: Request) -> bool:
        """Whether *request* came from the frontier and is in flight. Those of robots.txt and media did not."""
        return request in self._frontier.flying

    def slot(self, request: Request) -> str:
        assert self._crawler.engine is not None
        return self._crawler.engine.downloader.get_slot_key(request)

    def answered(self, request: Request) -> None:
        """The host of *request* has given an answer."""
        if self.breaker and self.breaker.succeeded(self.slot(request), self._clock()):
            logger.info("Host %s answers again: its requests go on", self.slot(request))

    def note(self, request: Request, failure: Failure) -> None:
        """Something went wrong with *request*. The first failure counts, unless a later one asks for a retry."""
        if self.is_ours(request) and (request not in self._noted or not failure.keeps_items):
            self._noted[request] = failure

    def is_noted(self, request: Request) -> bool:
        return request in self._noted

    def retry(self, request: Request, failure: Failure, priority_adjust: int | None) -> Request | None:
        """The download of *request* has failed: the request to have instead of it, when it is due; None to give up."""
        page = self._frontier.flying[request]
        due = self._judge(request, page, failure)
        if due is None:
            self._scrapys(request, failure, priority_adjust, -1)
            self._noted[request] = replace(failure, final=True)
            return None
        again = self._again(request, page, failure, priority_adjust, due)
        self._due[again] = due
        return again

    def postponed(self, request: Request) -> float | None:
        """When *request*, which comes from :meth:`retry`, is due; None for any other request."""
        return self._due.pop(request, None) if self._due else None

    def later(self, request: Request, failure: Failure) -> None:
        """*request*, which was never in the frontier, has failed: it is tried again as an entry of its own.

        It is admitted with the current page, or at once if there is none.
        """
        page, now = current_page(), self._clock()
        story = AttemptHistory(task_type=self._task_type(request), target=self._target(request))
        story.add(now, failure.kind, failure.error, charged=True)
        rule = self.policy.rule(failure.kind, request.meta)
        story.max_retries = rule.times
        due = self.policy.due(failure, 1, rule, now, self._dice.random())
        payload, slot = self._frontier.codec.encode_request(request), self.slot(request)
        task = ScheduledRetry(self._frontier.next_task(), now if due is None else due, slot, payload, story.dumps())
        self._count("count", failure.kind)
        if page is not None:
            page.tasks += (task,)
        else:
            self._frontier.wait(task)

    # -- verdicts ------------------------------------------------------------------------------------------------

    def postpone(self, request: Request, page: Page, due: float, *, live: bool) -> None:
        """Let *request* take the place of *page*'s own when it is *due*."""
        try:
            if live:
                raise CannotStore("it runs from memory")
            payload = self._frontier.codec.encode_request(request)
        except CannotStore:
            self._hold(due, request, page)
            return
        assert page.entry is not None
        page.verdict = ScheduledRetry(page.entry, due, self.slot(request), payload, self._story(request, page).dumps())

    def conclude(self, request: Request, page: Page, *, live: bool) -> None:
        """*request* leaves the engine: decide on what was noted of it, or cheer."""
        if self.breaker:
            self.breaker.ended(self.slot(request))
        failure = self._noted.pop(request, None)
        if failure is not None:
            self._decide(request, page, failure, live=live)
        elif page.verdict is None and not (live or page.dropped or page.replaced):
            self.succeeded(request, page)
        self._live.pop(request, None)

    def handler_failed(self, request: Request, page: Page, failure: Failure) -> None:
        """A handler has tried *page*, in vain."""
        self._decide(request, page, failure, live=False)

    def _decide(self, request: Request, page: Page, failure: Failure, *, live: bool) -> None:
        due = None if failure.final else self._judge(request, page, failure)
        if due is None:
            self._bury(request, page, failure, live=live)
            return
        again = self._again(request, page, failure, None, due)
        if not live:
            page.take_back()
        self.postpone(again, page, due, live=live)

    def _judge(self, request: Request, page: Page, failure: Failure) -> float | None:
        """Put the failure down in the story of the request. When it is due again, or None."""
        now, slot = self._clock(), self.slot(request)
        self._tell_breaker(request, slot, failure, now)
        charged = failure.kind not in OF_THE_HOST or not self.breaker.is_open(slot, now)
        story = self._story(request, page)
        story.add(now, failure.kind, failure.error, charged=charged)
        try:
            rule = self.policy.rule(failure.kind, request.meta)
        except ConfigError as error:
            logger.error("%s: %s", request, error)
            rule = self.policy.rule(failure.kind, {})
        story.max_retries = rule.times
        due = self.policy.due(failure, story.counts.get(failure.kind, 0), rule, now, self._dice.random())
        return due if due is None or charged else max(due, self.breaker.opens_at(slot))

    def _tell_breaker(self, request: Request, slot: str, failure: Failure, now: float) -> None:
        # 500 and 501 tell of a page rather than of its host.
        is_evidence = failure.kind in OF_THE_HOST and failure.status not in (500, 501)
        if is_evidence and self.breaker.failed(slot, self._frontier.fingerprint(request), now):
            logger.warning("Host %s seems to be down (%s): its requests wait", slot, failure.error)
        if failure.retry_after is None:
            return
        wait = self.policy.capped(failure.retry_after)
        if wait < failure.retry_after and slot not in self._capped:
            self._capped.add(slot)
            logger.warning("Host %s asks for %g s (%s): capped at %g", slot, failure.retry_after, request, wait)
        if failure.kind == THROTTLED:
            self.breaker.pause(slot, now + wait)

    def _again(
        self, request: Request, page: Page, failure: Failure, priority_adjust: int | None, due: float
    ) -> Request:
        """The request of the next attempt."""
        again = self._scrapys(request, failure, priority_adjust, UNLIMITED)
        assert again is not None
        story = self._story(request, page)
        if request in self._live:
            self._live[again] = story
        self._count("count", failure.kind)
        wait = max(0.0, due - self._clock())
        self._say("Failed task added", request, page, f"{failure.error}; attempt {story.retries}, due in {wait:.1f} s")
        return again

    def _scrapys(self, request: Request, failure: Failure, priority_adjust: int | None, limit: int) -> Request | None:
        """Scrapy's own retry request, with its statistics and its log lines, that of giving up included."""
        assert self._crawler.spider is not None
        return get_retry_request(
            request,
            spider=self._crawler.spider,
            reason=failure.reason,
            max_retry_times=limit,
            priority_adjust=priority_adjust,
            give_up_log_level=request.meta.get("give_up_log_level"),
        )

    def succeeded(self, request: Request, page: Page) -> None:
        """*page* has been had, be it by a handler. If it has failed before, say so; its dead letter can go."""
        if page.story is not None and page.story.attempts:
            self._count("succeeded")
            self._say("Task succeeded", request, page, f"after {len(page.story.attempts)} failures")
        if self._frontier.burials.fingerprints:
            fingerprint = self._frontier.fingerprint(request)
            if fingerprint in self._frontier.burials.fingerprints:
                self._frontier.burials.resolve(fingerprint)

    def _bury(self, request: Request, page: Page, failure: Failure, *, live: bool) -> None:
        self._count("buried", failure.kind)
        if not (failure.keeps_items or live):
            page.take_back()
        story = self._story(request, page)
        if not story.attempts or story.attempts[-1][2] != failure.error:
            story.add(self._clock(), failure.kind, failure.error, charged=False)
        entry, payload = 0, b""
        if not live and page.entry is not None:
            entry = page.entry
            try:
                payload = self._frontier.codec.encode_request(request)
            except CannotStore as error:  # a middleware has put something into its meta
                logger.warning("%s cannot be revived: %s", request, error)
        letter = self.letter(request, Entry(entry, payload, story=story.dumps()), failure)
        if entry:
            page.verdict = letter
        else:
            self._frontier.burials.bury(letter)
        self._say("Task buried", request, page, failure.error)

    # -- dead letters --------------------------------------------------------------------------------------------

    def letter(self, request: Request, entry: Entry, failure: Failure) -> DeadLetter:
        """The dead letter of *request*, whose stored form is *entry*."""
        story = AttemptHistory.loads(entry.story)
        return DeadLetter(
            entry=entry.id,
            payload=entry.payload,
            kind=failure.kind,
            error=failure.error,
            buried_at=self._clock(),
            url=request.url,
            host=self.slot(request),
            callback=getattr(request.callback, "__name__", None) or "parse",
            status=failure.status,
            fingerprint=self._frontier.fingerprint(request),
            code=self.code,
            task_type=story.task_type or self._task_type(request),
            target=story.target or self._target(request),
            story=entry.story,
            detail=json.dumps({**_lineage(request), **failure.detail}, ensure_ascii=False, default=str),
        )

    def _story(self, request: Request, page: Page) -> AttemptHistory:
        if request in self._frontier.live:
            return self._live.setdefault(request, AttemptHistory())
        if page.story is None:
            page.story = AttemptHistory(task_type=self._task_type(request), target=self._target(request))
        return page.story

    def _task_type(self, request: Request) -> str:
        return str(request.meta.get("t8_task_type") or getattr(self._crawler.spider, "task_type", None) or TASK_TYPE)

    def _target(self, request: Request) -> str:
        return str(request.meta.get("t8_target") or request.url)

    def sum_up(self) -> None:
        """Put into the statistics how the run went, if anything failed."""
        waiting = self._frontier.waiting
        stats = self._crawler.stats
        assert stats is not None
        succeeded, buried = (stats.get_value(f"t8/retry/{what}", 0) for what in ("succeeded", "buried"))
        if waiting or succeeded or buried:
            stats.set_value("t8/retry/waiting", waiting)
            stats.set_value("t8/retry/due", self._frontier.store.count_waiting(until=self._clock()))
        if succeeded or buried:
            stats.set_value("t8/retry/success_rate", round(succeeded / (succeeded + buried), 4))

    def _count(self, what: str, kind: str | None = None) -> None:
        stats = self._crawler.stats
        assert stats is not None
        stats.inc_value(f"t8/retry/{what}")
        if kind is not None:
            stats.inc_value(f"t8/retry/{what}/{kind}")

    def _say(self, what: str, request: Request, page: Page, more: str) -> None:
        task = task_id(self._task_type(request), self._frontier.record.id, page.entry or 0)
        logger.info("%s: %s %s: %s", what, task, request, more)


def _lineage(request: Request) -> dict[str, Any]:
    """How the crawl came to *request*."""
    meta = request.meta
    known = {
        "referer": (request.headers.get("Referer") or b"").decode("latin-1"),
        "depth": meta.get("depth"),
        "redirects": [str(url) for url in meta.get("redirect_urls", ())],
    }
    return {name: value for name, value in known.items() if value}
