"""Decides on each failure: adds it to the history, reports it to the breaker, and applies the policy."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from functools import partial

from scrapy import Request

from scrapy_t8.core.frontier.frontier import Frontier
from scrapy_t8.core.page import Page
from scrapy_t8.core.run import RunContext
from scrapy_t8.core.scrapy_private import retry_request
from scrapy_t8.errors import CannotLoad, CannotStore, ConfigError
from scrapy_t8.model.attempts import DETAIL, LIST, AttemptHistory, ScheduledRetry, request_task_id
from scrapy_t8.model.dead_letter import DeadLetter
from scrapy_t8.utils.log.loggers import get_logger
from scrapy_t8.utils.text import counted

from .breaker import KNOWN_PAGE, Breaker, Evidence
from .failure import HANDLED, NETWORK, OF_THE_HOST, OUTAGE, THROTTLED, Failure, code_of, lineage
from .hosts import Hosts
from .pipeline_outages import PipelineOutages
from .policy import HostState, Policy

logger = get_logger(__name__)

UNLIMITED = 1 << 30
OUTCOMES = ("succeeded", "buried", "not_retried")


class RetryDecisions:
    """Decides on each failure of one run. Nothing is scheduled or buried here."""

    def __init__(self, context: RunContext, frontier: Frontier, *, policy: Policy, breaker: Breaker) -> None:
        assert context.crawler.spider is not None
        self._crawler = context.crawler
        self._spider = context.crawler.spider
        self._clock = context.clock
        self._frontier = frontier
        self.policy = policy
        self.breaker = breaker
        self.pipelines = PipelineOutages(context)
        self.hosts = Hosts(context.crawler, clock=context.clock, pause=context.config.retry_base)
        self.code = code_of(self._spider)
        """A hash of the spider's code: if it changes, a bug may have been fixed."""
        self._random = random.Random()
        self._capped: set[str] = set()
        """Hosts that have demanded a longer pause than T8_RETRY_AFTER_CAP."""
        self._in_memory: dict[Request, AttemptHistory] = {}
        """The earlier attempts of requests that run from memory."""

    # -- hosts ---------------------------------------------------------------------------------------------------

    def slot(self, request: Request) -> str:
        """Return the download slot of *request*."""
        return self.hosts.slot(request)

    def host_answered(self, request: Request) -> None:
        """Record that the host of *request* has given an answer."""
        if self.breaker:
            host = self.hosts.name(request)
            self._log_recovery(host, self.breaker.succeeded(host, self._clock()))

    def known_page_answered(self, host: str) -> None:
        """Record that *host* has answered a probe."""
        self._log_recovery(host, self.breaker.known_page_answered(host, self._clock()))

    def known_page_failed(self, host: str, error: str) -> None:
        """Record that *host* has not answered a probe."""
        if self.breaker.probe_failed(host, self._clock()):
            self._warn_of_outage(host, error)

    def known_page_not_asked(self, host: str) -> None:
        """Record that a probe of *host* was held back by a middleware: waiting pages are the probes from now on."""
        self.hosts.ask_no_more(host)
        self.breaker.ended(host, KNOWN_PAGE, self._clock())

    def _log_recovery(self, host: str, was_down: bool) -> None:
        if was_down:
            logger.info("Host %s is up again, resuming its requests", host)

    def request_ended(self, request: Request) -> None:
        """Record that *request* has left the engine, with or without an answer."""
        if self.breaker:
            self.breaker.ended(self.hosts.name(request), self._frontier.fingerprint(request), self._clock())

    def forget(self, request: Request) -> None:
        """Forget the earlier attempts of a request that ran from memory."""
        self._in_memory.pop(request, None)

    def _note_host(self, request: Request, host: str, failure: Failure, *, now: float, is_first: bool) -> None:
        if self._is_evidence(request, failure):
            evidence = Evidence(
                self._frontier.fingerprint(request),
                is_first=is_first,
                is_silence=failure.kind == NETWORK,
                known_page_from=self.hosts.known_page_from(host),
            )
            if self.breaker.failed(host, evidence, now):
                self._warn_of_outage(host, failure.error)
        elif failure.status is not None and failure.status < 500:
            self.host_answered(request)
        if failure.retry_after is None:
            return
        wait = self.policy.capped(failure.retry_after)
        if wait < failure.retry_after and host not in self._capped:
            self._capped.add(host)
            logger.warning("Host %s asks for %g s (%s): capped at %g", host, failure.retry_after, request, wait)
        if failure.kind == THROTTLED:
            self.breaker.pause(host, now + wait)

    def _is_evidence(self, request: Request, failure: Failure) -> bool:
        """Whether *failure* is one of the host: 500 and 501 are of a page, a proxy and a handler are not the host."""
        # A good status is that of a page whose callback has made a download itself.
        is_status = failure.status is None or (failure.status >= 400 and failure.status not in (500, 501))
        is_of_host = failure.kind in OF_THE_HOST and is_status
        return is_of_host and failure.reason != HANDLED and not self.hosts.is_behind_proxy(request)

    def _warn_of_outage(self, host: str, error: str) -> None:
        logger.warning("Host %s looks down (%s), pausing its requests", host, error)

    # -- decisions -----------------------------------------------------------------------------------------------

    def due_time(self, request: Request, page: Page, failure: Failure) -> float | None:
        """Add the failure to the request's history. Return when to try again, in Unix seconds; None to give up."""
        now, host, history = self._clock(), self.hosts.name(request), self.history(request, page)
        if failure.kind == OUTAGE:
            state = self.pipelines.failed(self._frontier.fingerprint(request), failure, history)
            return self._decide(request, history, failure, now=now, host=state)
        self._note_host(request, host, failure, now=now, is_first=not history.attempts)
        history.refund(self.breaker.refund(host, self._frontier.fingerprint(request)), OF_THE_HOST)
        state = None
        if self.breaker.is_open(host, now) and failure.reason != HANDLED:
            state = HostState(self.breaker.opens_at(host), self.breaker[host].is_suspect)
        return self._decide(request, history, failure, now=now, host=state)

    def _decide(
        self,
        request: Request,
        history: AttemptHistory,
        failure: Failure,
        *,
        now: float,
        host: HostState | None = None,
    ) -> float | None:
        try:
            rule = self.policy.rule(failure.kind, request.meta)
        except ConfigError as error:
            logger.error("%s: %s", request, error)
            rule = self.policy.rule(failure.kind, {})
        earlier, chance = history.counts.get(failure.kind, 0), self._random.random()
        decide = partial(self.policy.decide, failure, rule, earlier=earlier, now=now, chance=chance)
        decision = decide(host=host, free=history.free(failure.kind))
        if decision.due is None and host is None and self._is_checked(request, failure, charged=earlier + 1, now=now):
            decision = decide(host=HostState(self.breaker.opens_at(self.hosts.name(request)), is_suspect=True))
        history.add(now, failure.kind, failure.error, charged=decision.charged, uses_free=decision.uses_free)
        history.max_retries = rule.times
        return decision.due

    def _is_checked(self, request: Request, failure: Failure, *, charged: int, now: float) -> bool:
        """Whether *request*, which is to be given up, is tried once more, after a check whether its host is up."""
        if failure.final or not self._is_evidence(request, failure):
            return False
        host, fingerprint = self.hosts.name(request), self._frontier.fingerprint(request)
        known_from = self.hosts.known_page_from(host)
        return self.breaker.check(host, fingerprint, known_from, charged=charged, now=now)

    def next_attempt(
        self, request: Request, page: Page, failure: Failure, *, due: float, priority_adjust: int | None = None
    ) -> Request:
        """Return the request of the next attempt."""
        again = self.scrapy_retry_request(request, failure, priority_adjust, UNLIMITED)
        assert again is not None
        if "proxy" in again.meta:
            self._unpin_proxy(again, page)
        history = self.history(request, page)
        if request in self._in_memory:
            self._in_memory[again] = history
        self._count("count", failure.kind)
        wait = max(0.0, due - self._clock())
        logger.debug("Retry %d of %s in %.1f s: %s", history.retries, request, wait, failure.error)
        return again

    def _unpin_proxy(self, again: Request, page: Page) -> None:
        """Remove the proxy that a middleware has chosen for the last attempt: the proxy may be down."""
        frontier, entry = self._frontier, page.entry
        payload = None if entry is None else frontier.added.get(entry) or frontier.store.payload(entry)
        with suppress(CannotLoad):
            if payload is None or frontier.codec.decode_request(payload).meta.get("proxy") == again.meta["proxy"]:
                return
        for key in ("proxy", "_auth_proxy"):
            again.meta.pop(key, None)
        again.headers.pop("Proxy-Authorization", None)

    def scrapy_retry_request(
        self, request: Request, failure: Failure, priority_adjust: int | None, limit: int
    ) -> Request | None:
        """Return Scrapy's own retry request, with its statistics and log lines. None if *limit* is used up."""
        return retry_request(
            request,
            spider=self._spider,
            reason=failure.reason,
            max_retry_times=limit,
            priority_adjust=priority_adjust,
        )

    def scheduled(self, request: Request, page: Page, due: float) -> ScheduledRetry:
        """Return the entry of *page* as it waits for its next attempt, which is *request*.

        :raises CannotStore: if *request* has no stored form.
        """
        assert page.entry is not None
        payload = self._stored_form(request, page.entry)
        return ScheduledRetry(page.entry, due, self.slot(request), payload, self.history(request, page).dumps())

    def _stored_form(self, request: Request, entry: int) -> bytes:
        """Return the stored form of *request*, an attempt of *entry*, without what middlewares have put in since.

        :raises CannotStore: if there is none.
        """
        frontier = self._frontier
        try:
            return frontier.codec.encode_request(request)
        except CannotStore:
            return frontier.codec.encode_attempt(request, frontier.added.get(entry) or frontier.store.payload(entry))

    def first_retry(self, request: Request, failure: Failure) -> ScheduledRetry:
        """Return a new entry for *request*, which was never in the frontier and has failed.

        :raises CannotStore: if *request* has no stored form.
        """
        now = self._clock()
        payload, slot = self._frontier.codec.encode_request(request), self.slot(request)
        entry = self._frontier.next_id(0)
        history = self._new_history(request, entry)
        due = self._decide(request, history, failure, now=now)
        self._count("count", failure.kind)
        return ScheduledRetry(entry, now if due is None else due, slot, payload, history.dumps())

    def succeeded(self, request: Request, page: Page) -> None:
        """Record that the page was fetched, by the crawl or by a retry handler. Its dead letters are resolved."""
        if page.history is not None and page.history.attempts:
            self._count("succeeded")
            logger.debug("Retry succeeded: %s, after %d failures", request, len(page.history.attempts))
        if (outbox := self._frontier.outbox).fingerprints:
            outbox.resolve(self._frontier.fingerprint(request))

    # -- dead letters --------------------------------------------------------------------------------------------

    def dead_letter(self, request: Request, page: Page, failure: Failure, *, in_memory: bool) -> DeadLetter:
        """Return the dead letter of *request*. A request that runs from memory has no entry, and is not revived."""
        self._count("buried", failure.kind)
        history = self.history(request, page)
        if len(history.attempts) <= 1:
            self._count("not_retried")
        if not history.attempts or history.attempts[-1][2] != failure.error:
            history.add(self._clock(), failure.kind, failure.error, charged=False)
        entry, payload = (0 if in_memory else page.entry) or 0, b""
        if entry:
            try:
                payload = self._stored_form(request, entry)
            except CannotStore as error:
                logger.warning("%s cannot be revived: %s", request, error)
        tries = counted(len(history.attempts), "try", "tries")
        logger.info("Request given up after %s: %s: %s (scrapy t8 failed list)", tries, request, failure.error)
        if request.meta.get("t8_task_type") == LIST:
            logger.warning(
                "A page of a list was given up (%s): the list is not finished. 'scrapy t8 failed revive' and the same "
                "command go on there",
                self._target(request),
            )
        return DeadLetter(
            entry=entry,
            payload=payload,
            kind=failure.kind,
            error=failure.error,
            buried_at=self._clock(),
            url=request.url,
            host=self.slot(request),
            callback=callback_of(request),
            status=failure.status,
            fingerprint=self._frontier.fingerprint(request),
            code=self.code,
            task_type=history.task_type or self._task_type(request),
            target=history.target or self._target(request),
            story=history.dumps(),
            detail=json.dumps({**lineage(request), **failure.detail}, ensure_ascii=False, default=str),
        )

    # -- what is remembered --------------------------------------------------------------------------------------

    def history(self, request: Request, page: Page) -> AttemptHistory:
        """Return the earlier attempts of *request*, which are those of its page unless the request runs from memory."""
        if request in self._frontier.in_memory:
            return self._in_memory.setdefault(request, self._new_history(request, self._frontier.fingerprint(request)))
        if request in self._in_memory:  # it ran from memory when it failed, and has become an entry of its own since
            return page.begin_history(self._in_memory.pop(request))
        if page.history is None:
            return page.begin_history(self._new_history(request, page.entry or 0))
        # A letter of a request that has never failed has no id to be revived with.
        page.history.task_id = page.history.task_id or self._task_id(request, page.entry or 0)
        return page.history

    def _new_history(self, request: Request, number: int) -> AttemptHistory:
        """Return the history of *request* before its first failure. The id of its task is made of *number*."""
        task_type, task_id = self._task_type(request), self._task_id(request, number)
        return AttemptHistory(task_type=task_type, target=self._target(request), task_id=task_id)

    def _task_id(self, request: Request, number: int) -> str:
        return request_task_id(self._task_type(request), self._frontier.record.id, number)

    def _task_type(self, request: Request) -> str:
        return str(request.meta.get("t8_task_type") or getattr(self._spider, "task_type", None) or DETAIL)

    def _target(self, request: Request) -> str:
        return str(request.meta.get("t8_target") or request.url)

    def write_stats(self) -> None:
        """Write the retry statistics of the run, if anything failed."""
        stats = self._crawler.stats
        assert stats is not None
        if waiting := len(self._frontier.waiting):
            stats.set_value("t8/retry/waiting", waiting)
            stats.set_value("t8/retry/due", self._frontier.store.count_waiting(until=self._clock()))
        succeeded, buried, untried = (stats.get_value(f"t8/retry/{what}", 0) for what in OUTCOMES)
        if retried := succeeded + buried - untried:
            stats.set_value("t8/retry/success_rate", round(succeeded / retried, 4))

    def _count(self, what: str, kind: str | None = None) -> None:
        stats = self._crawler.stats
        assert stats is not None
        stats.inc_value(f"t8/retry/{what}")
        if kind is not None:
            stats.inc_value(f"t8/retry/{what}/{kind}")


def callback_of(request: Request) -> str:
    """Return the name of the spider's method that handles the response to *request*."""
    return getattr(request.callback, "__name__", None) or "parse"
