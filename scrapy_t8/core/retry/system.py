"""All of one run that has to do with failed requests, put together; and what is done with those of earlier runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from scrapy import Request
from scrapy.crawler import Crawler

from scrapy_t8.config.settings import Config
from scrapy_t8.core import scrapy_private
from scrapy_t8.core.fail_fast import StopOnError
from scrapy_t8.core.frontier.frontier import Frontier
from scrapy_t8.core.offline.dead_letters import DeadLetters
from scrapy_t8.core.page import Page
from scrapy_t8.model.dead_letter import LetterFilter

from .breaker import Breaker
from .code_version import code_of
from .decisions import RetryDecisions
from .failure import OF_THE_CODE
from .handlers import Handler, Handlers
from .host_gate import HostGatedQueue
from .idle import IdlePolicy
from .policy import Policy
from .timer import RetryTimer


class RetrySystem:
    """The parts: ``breaker``, ``retries``, ``handlers``, ``room``, ``vigil``, ``dead_letters``.

    :param policy: from the settings.
    :param handlers: from the settings, by task type.
    :param end: tells the job that a page has ended.
    :param flush: commits what has settled.
    :param commit: the same, unless that would take long; says whether nothing is left to commit.
    :param flush_or_raise: the same, and raises if the job has failed.
    :param guard: in which entries are woken.
    """

    def __init__(
        self,
        crawler: Crawler,
        frontier: Frontier,
        config: Config,
        policy: Policy,
        handlers: Mapping[str, Handler],
        end: Callable[[Page], None],
        flush: Callable[[], None],
        commit: Callable[[], bool],
        flush_or_raise: Callable[[], None],
        guard: StopOnError,
        clock: Callable[[], float],
    ) -> None:
        assert crawler.spider is not None
        self._crawler = crawler
        self._frontier = frontier
        self._config = config
        self._flush = flush
        self._clock = clock
        self.parked: HostGatedQueue | None = None
        """The queue of the scheduler, once it is open."""
        self.buried = self.revived = 0
        """What :meth:`tidy` has done."""
        self.breaker = breaker = Breaker(
            config.breaker_failures, config.breaker_probe, config.breaker_probe_cap, config.breaker_give_up
        )
        breaker.load(frontier.store.hosts())
        self.retries = retries = RetryDecisions(
            crawler, frontier, policy, breaker, self._hold, code_of(crawler.spider), clock
        )
        limit = config.retry_handler_timeout
        self.handlers = Handlers(handlers, limit, retries.handler_failed, retries.succeeded, end)
        self.room = RetryTimer(frontier, self.handlers, self._crawl, end, flush, commit, self._nudge, guard, clock)
        frontier.expect = self.room.expect
        self.vigil = IdlePolicy(crawler, self.room, self.handlers, breaker, self._opening, config.retry_wait, clock)
        self.dead_letters = DeadLetters(
            frontier.store, frontier.record, frontier.codec, clock, before=flush_or_raise, after=self._take_up
        )

    def tidy(self) -> None:
        """Begin a run: bury what is guilty of crashes, prune the box, revive what a change of code may have mended."""
        config, record, box = self._config, self._frontier.record, self._frontier.store.box
        self.buried = self._bury_the_guilty(config.crash_limit)
        self._flush()
        box.prune(record, self._clock(), ttl=config.failed_task_ttl, limit=config.max_failed_tasks)
        if config.revive_on_code_change:
            self.revived = self._revive_by_code()
        self._take_up()

    def close(self) -> None:
        """Begin nothing any more."""
        self.room.close()
        self.handlers.close()

    def _bury_the_guilty(self, limit: int) -> int:
        """Bury what the process has died of also when it ran alone. Returns how many."""
        suspects = self._frontier.suspects
        guilty = [entry for entry in suspects if entry.crashes > limit]
        for entry in guilty:
            suspects.remove(entry)
            told = f"the process died {entry.crashes} times during this page, the last time with nothing else running"
            self._frontier.execute(entry, "crash", told)
        return len(guilty)

    def _revive_by_code(self) -> int:
        """Bugs may have been mended: the pages that failed by them get another try, if they are of this crawl."""
        record, box = self._frontier.record, self._frontier.store.box
        changed = tuple(
            letter.id
            for kind in OF_THE_CODE
            for job in filter(None, (record.id, record.follows))
            for letter in box.letters(LetterFilter(kind=kind, job=job))
            if letter.code != self.retries.code
        )
        return box.revive(LetterFilter(ids=changed), record, self._clock()) if changed else 0

    def _take_up(self) -> None:
        """Dead letters have become entries again, or are gone."""
        store = self._frontier.store
        self._frontier.waiting = store.count_waiting()
        self._frontier.burials.look()
        self.room.expect(self.room.next_due())

    def _hold(self, due: float, request: Request, page: Page) -> None:
        self.room.hold(due, request, page)

    def _crawl(self, request: Request) -> None:
        assert self._crawler.engine is not None
        self._crawler.engine.crawl(request)

    def _nudge(self) -> None:
        scrapy_private.schedule_next_call(self._crawler)

    def _opening(self) -> float | None:
        """When the first request of a host that is spared may go; None if nothing is set aside."""
        return self.parked.next_opening() if self.parked is not None else None
