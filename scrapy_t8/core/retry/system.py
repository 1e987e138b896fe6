"""The failed requests of one run: records failures, decides on them, and acts on the decisions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from scrapy import Request
from scrapy.exceptions import DontCloseSpider
from scrapy.http import Response

from scrapy_t8.config.causes import ERRBACK, SWALLOWED, Accepted, cause_of_failure
from scrapy_t8.core.frontier.frontier import Frontier
from scrapy_t8.core.page import Page, current_page
from scrapy_t8.core.run import CommitParticipant, RunContext, RunControl
from scrapy_t8.errors import CannotStore
from scrapy_t8.model.attempts import DUE
from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.model.dead_letter import LetterFilter
from scrapy_t8.model.entry import Ending, Outcome
from scrapy_t8.utils.classes import path_of
from scrapy_t8.utils.handler_call import Handler
from scrapy_t8.utils.text import one_line

from .breaker import Breaker
from .decisions import RetryDecisions, callback_of
from .failure import AFTER_THE_DOWNLOAD, OF_THE_CODE, OUTAGE, Failure
from .handlers import Handlers
from .host_gate import HostGatedQueue
from .hosts import KnownPageProbes
from .idle import IdlePolicy
from .policy import Policy
from .timer import RetryTimer

if TYPE_CHECKING:
    from scrapy_t8.core.items.outages import OutageErrors

STOPPED = Failure("stop", "CloseSpider")
"""Noted for a request whose callback ends the crawl: no failure, but not done."""


class RetrySystem(CommitParticipant):
    """The failures of one run.

    A failure is noted for a request in flight. When the engine lets the request go, its page waits for another attempt
    or becomes a dead letter. A request that runs from memory has no entry: it waits in memory.

    :param policy: the rules, from the settings.
    :param handlers: from the settings, by task type.
    :param checks: from the settings: functions that may turn a response into a failure.
    """

    def __init__(
        self,
        context: RunContext,
        control: RunControl,
        frontier: Frontier,
        *,
        policy: Policy,
        handlers: Mapping[str, Handler],
        checks: Sequence[Callable[[Response], Any]] = (),
    ) -> None:
        config = context.config
        self._clock = context.clock
        self._config = config
        self._control = control
        self._frontier = frontier
        self.checks = checks
        self._accepted = Accepted(config.accept)
        self._noted: dict[Request, Failure] = {}
        self._raised: dict[Request, Ending] = {}
        """What the callbacks of requests in flight have raised."""
        self._items_before: dict[Request, int] = {}
        """How many items pages had when the responses to their requests that run from memory came."""
        self._gate: HostGatedQueue | None = None
        self.breaker = Breaker(
            failures=config.breaker_failures,
            probe=config.breaker_probe,
            longest=config.breaker_probe_cap,
            give_up=config.breaker_give_up,
        )
        self.breaker.load(frontier.store.hosts())
        if context.recovery.last_run is None:
            self.breaker.begin_job(context.clock())
        self.decisions = RetryDecisions(context, frontier, policy=policy, breaker=self.breaker)
        self.pipelines = self.decisions.pipelines
        self._probes = KnownPageProbes(context.crawler, self.decisions, has_requests=self._has_requests)
        self.handlers = Handlers(handlers, config.retry_handler_timeout, self.handler_ended)
        self.timer = RetryTimer(context, control, frontier, handlers=self.handlers)
        self._idle_policy = IdlePolicy(
            context, self.timer, handlers=self.handlers, breaker=self.breaker, answered=self.decisions.hosts.answered
        )

    # -- a run begins and ends -----------------------------------------------------------------------------------

    def on_start(self) -> tuple[int, int]:
        """Bury pages that crash the process, prune dead letters, revive those that a change of code may have fixed.

        :returns: how many requests were buried, and how many dead letters were revived.
        """
        config, record, box = self._config, self._frontier.record, self._frontier.store.box
        buried = self._bury_crashing_pages(config.crash_limit)
        self._control.flush()
        ttl, limit = config.failed_task_ttl, config.max_failed_tasks
        box.prune(record, self._clock(), ttl=ttl, limit=limit, keep=record.id)
        revived = self._revive_by_code() if config.revive_on_code_change else 0
        self._frontier.recount()
        self.timer.wake_at(self.timer.next_due())
        return buried, revived

    def close(self) -> None:
        """Begin no attempt any more."""
        self._probes.close()
        self.timer.close()
        self.handlers.close()

    def _bury_crashing_pages(self, limit: int) -> int:
        """Bury entries during which the process died even though each ran alone. Return how many."""
        suspects = self._frontier.suspects
        crashing = [entry for entry in suspects if entry.crashes > limit]
        for entry in crashing:
            suspects.remove(entry)
            error = f"the process died {entry.crashes} times during this page, the last time with nothing else running"
            self._frontier.bury_unrun(entry, "crash", error)
        return len(crashing)

    def _revive_by_code(self) -> int:
        """Revive the pages of this crawl that failed by a bug, if the code has changed. Return how many."""
        record, box = self._frontier.record, self._frontier.store.box
        changed = tuple(
            letter.id
            for kind in OF_THE_CODE
            for job in filter(None, (record.id, record.follows))
            for letter in box.letters(LetterFilter(kind=kind, job=job))
            if letter.code != self.decisions.code
        )
        return box.revive(LetterFilter(ids=changed), record, self._clock()) if changed else 0

    # -- hosts ---------------------------------------------------------------------------------------------------

    def gate(self, queue: Any) -> HostGatedQueue:
        """Return *queue* behind a gate that holds back requests of hosts that are down or paused."""
        self._gate = HostGatedQueue(
            queue,
            self.breaker,
            self.decisions.hosts,
            ask_known_page=self._probes.begin,
            fingerprint=self._frontier.fingerprint,
            clock=self._clock,
        )
        return self._gate

    def _has_requests(self) -> bool:
        return len(self.timer) > 0 or (self._gate is not None and bool(self._gate.parked))

    def wait_for_hosts(self) -> None:
        """Be awake when the first paused host may be asked again, and when the first suspicion can be tested."""
        if self._gate is not None:
            self.timer.wake_at(self._gate.next_opening())
            self.timer.wake_at(self.breaker.next_test(self._clock()))

    def idle(self) -> None:
        """Decide what an idle spider does, as :meth:`IdlePolicy.idle` says. A probe in flight will tell."""
        if self._probes:
            raise DontCloseSpider
        self._idle_policy.idle(self._gate.next_opening() if self._gate is not None else None)

    def fill(self, batch: CommitBatch) -> None:
        """Put what has changed about hosts into *batch*."""
        batch.hosts = self.breaker.dump()

    # -- failures ------------------------------------------------------------------------------------------------

    @cached_property
    def outages(self) -> OutageErrors:
        """The errors of item pipelines that are outages."""
        from scrapy_t8.core.items.outages import OutageErrors

        return OutageErrors(self._config.outage_errors)

    def is_ours(self, request: Request) -> bool:
        """Whether *request* came from the frontier and is in flight. Requests for robots.txt and media did not."""
        return request in self._frontier.in_flight

    def record_failure(self, request: Request, failure: Failure) -> None:
        """Record that *request* has failed. The first failure counts, unless a later one asks for a retry."""
        if not self.is_ours(request):
            return
        noted = self._noted.get(request)
        if noted is None or not failure.keeps_items:
            self._noted[request] = failure
        elif failure.kind in AFTER_THE_DOWNLOAD:
            self._noted[request] = replace(noted, errback_failed=True)

    def has_failed(self, request: Request) -> bool:
        """Whether a failure was noted for *request*."""
        return request in self._noted

    def buries(self, request: Request, failure: Failure | None = None) -> bool:
        """Whether *request* becomes a dead letter, if it ends with *failure*, or with the one that was noted."""
        failure = failure or self._noted.get(request)
        return failure is not None and self._accepted_cause(request, failure) is None

    def record_first_failure(self, request: Request, failure: Failure) -> None:
        """Record that *request* has failed, unless a failure was noted before."""
        if request not in self._noted:
            self.record_failure(request, failure)

    def status_is_taken(self, request: Request, status: int) -> None:
        """Take back a failure that was noted for the *status* alone: a callback takes the response."""
        noted = self._noted.get(request)
        if noted is not None and noted.status == status:
            del self._noted[request]

    def retry(self, request: Request, failure: Failure, priority_adjust: int | None) -> Request | None:
        """Return the request to give to Scrapy in place of *request*, whose download has failed; None to give up."""
        page = self._frontier.in_flight[request]
        due = self.decisions.due_time(request, page, failure)
        if due is None:
            self.decisions.scrapy_retry_request(request, failure, priority_adjust, -1)
            self._noted[request] = replace(failure, final=True)
            return None
        again = self.decisions.next_attempt(request, page, failure, due=due, priority_adjust=priority_adjust)
        again.meta[DUE] = due
        return again

    def take_due(self, request: Request) -> float | None:
        """Take off *request* when it is due, which :meth:`retry` has noted; None for any other request."""
        return request.meta.pop(DUE, None) if DUE in request.meta else None

    def schedule(self, request: Request, page: Page, due: float, *, in_memory: bool) -> None:
        """Let *request* take the place of the page's own request when *due*, in Unix seconds."""
        if in_memory or not self._waits_in_store(request, page, due):
            if page.is_handing_over:
                page.go_on()
            self.timer.hold_in_memory(due, request, page)

    def _waits_in_store(self, request: Request, page: Page, due: float) -> bool:
        """Let the entry of *page* wait with *request* until it is *due*. Return False if that has no stored form."""
        try:
            page.retry_later(self.decisions.scheduled(request, page, due))
        except CannotStore:
            return False
        return True

    def enqueue_task(self, request: Request, failure: Failure) -> None:
        """Retry *request*, which was never in the frontier and has failed, as an entry of its own.

        The entry is admitted with the current page, or at once if there is none.

        :raises CannotStore: if *request* has no stored form.
        """
        retry = self.decisions.first_retry(request, failure)
        page = current_page()
        if page is not None:
            page.add_retry(retry)
        else:
            self._frontier.admit_waiting(retry)
            self.timer.wake_at(retry.due)

    def part_begins(self, request: Request, page: Page) -> None:
        """Record that the response to *request*, which runs from memory as a part of *page*, is there."""
        self._items_before[request] = page.items.entered

    def closes_spider(self, request: Request, *, is_done: bool) -> None:
        """Record that *request* ends the crawl (CloseSpider). Unless it is done, it is the first of the next run."""
        if is_done:
            self._raised.pop(request, None)
        elif self.is_ours(request):
            self._noted[request] = STOPPED

    def raised(self, request: Request, error: Exception) -> None:
        """Record that the callback of *request* has raised *error*, which a spider middleware may swallow."""
        if self.is_ours(request):
            cause = f"{SWALLOWED}:{path_of(type(error))}"
            self._raised[request] = Ending(cause, request.url, callback_of(request), one_line(error))

    # -- requests that end ---------------------------------------------------------------------------------------

    def request_left_engine(self, request: Request, page: Page, *, in_memory: bool) -> bool:
        """Act on the failure that was noted for *request*, or count a success. Return whether there was a failure."""
        self.decisions.request_ended(request)
        failure, swallowed = self._noted.pop(request, None), self._raised.pop(request, None)
        items = page.items.entered - self._items_before.pop(request, 0)
        if self.pipelines.is_watching and (failure is None or failure.kind != OUTAGE):
            self.pipelines.page_ended(self._frontier.fingerprint(request), has_items=bool(page.items.passed))
        if not in_memory and page.outcome is Outcome.REPLACED:
            failure = None  # the entry that has taken the page's place goes on
        if failure is STOPPED and items and self._is_last():
            failure = None
        if failure is STOPPED:
            if in_memory or not self._waits_in_store(request, page, self._clock()):
                page.hold()  # for good: the page does not settle, and its entry stays where it is
        elif failure is not None:
            self._act(request, page, failure, in_memory=in_memory)
        elif swallowed is not None:
            page.end_in_memory(swallowed) if in_memory else page.discard(swallowed)
        elif not in_memory and page.outcome is Outcome.PENDING and page.swapped is None:
            self.decisions.succeeded(request, page)
        self.decisions.forget(request)
        return failure is not None or swallowed is not None

    def handler_ended(self, request: Request, page: Page, failure: Failure | None) -> None:
        """Act on the result of a handler that has tried *page*."""
        if failure is None:
            self.decisions.succeeded(request, page)
        else:
            self._act(request, page, failure, in_memory=False)
        self._control.end(page)

    def _is_last(self) -> bool:
        """Whether nothing is left but one page: a spider that closes itself on it, with items, has seen enough."""
        self._control.flush()
        return self._frontier.record.start_done and len(self._frontier) <= 1

    def _act(self, request: Request, page: Page, failure: Failure, *, in_memory: bool) -> None:
        due = None if failure.final else self.decisions.due_time(request, page, failure)
        if due is not None:
            again = self.decisions.next_attempt(request, page, failure, due=due)
            if not in_memory:
                page.take_back_items()
            self.schedule(again, page, due, in_memory=in_memory)
            return
        if not (failure.keeps_items or in_memory):
            page.take_back_items()
        self._give_up(request, page, failure, in_memory=in_memory)

    def _give_up(self, request: Request, page: Page, failure: Failure, *, in_memory: bool) -> None:
        if in_memory and page.swapped is not None:
            # A request that a middleware has sent for the page's own has failed, and so has the page.
            request, in_memory = page.swapped, False
            page.swap(None)
            if self._frontier.set_aside.remove_page(page):
                self._control.end(page)
        cause = self._accepted_cause(request, failure)
        if cause is None:
            letter = self.decisions.dead_letter(request, page, failure, in_memory=in_memory)
            page.end_in_memory(letter) if in_memory else page.bury(letter)
        else:
            ending = Ending(cause, request.url, callback_of(request), failure.error)
            page.end_in_memory(ending) if in_memory else page.discard(ending)

    def _accepted_cause(self, request: Request, failure: Failure) -> str | None:
        """Return the cause that the user accepts, if a request may end with *failure*."""
        causes = [cause_of_failure(failure.kind, failure.status)]
        if request.errback is not None and not failure.errback_failed and failure.kind not in AFTER_THE_DOWNLOAD:
            causes.append(f"{ERRBACK}:{getattr(request.errback, '__name__', '')}")
        return next(filter(self._accepted.names, causes), None)
