"""Decides how long an idle crawl stays open for retries."""

from __future__ import annotations

from collections.abc import Callable

from scrapy import signals
from scrapy.exceptions import CloseSpider, DontCloseSpider
from scrapy.extensions.closespider import CloseSpider as CloseSpiderExtension
from scrapy.utils.asyncio import AsyncioLoopingCall
from twisted.internet.task import LoopingCall

from scrapy_t8.core.run import RunContext
from scrapy_t8.utils.log.loggers import get_logger
from scrapy_t8.utils.text import counted
from scrapy_t8.utils.times import local_time

from .breaker import Breaker
from .handlers import Handlers
from .timer import RetryTimer

logger = get_logger(__name__)

REASON = "retries_waiting"
LOGGED_EVERY = 60.0
"""Minimum seconds between two log lines about waiting requests."""


class IdlePolicy:
    """Keeps an idle crawl open for requests that are due within T8_RETRY_WAIT seconds, and closes it otherwise.

    A host that is down is waited for as long, counted from when the host went down or the run began. After that, a host
    that has answered nothing in this run is given up if another host has answered: its requests become dead letters,
    and the next job crawls the other hosts anew. Any other host is left to the next run.

    :param answered: returns the hosts that have answered in this run.
    """

    def __init__(
        self,
        context: RunContext,
        timer: RetryTimer,
        *,
        handlers: Handlers,
        breaker: Breaker,
        answered: Callable[[], set[str]],
    ) -> None:
        self._crawler = context.crawler
        self._patience = context.config.retry_wait
        self._clock = context.clock
        self._timer = timer
        self._handlers = handlers
        self._breaker = breaker
        self._answered = answered
        self._began = context.clock()
        self._has_given_up = False
        self._awaited: float | None = None
        self._logged = 0.0
        self._is_paused = False
        self._crawler.signals.connect(self._resume, signals.request_reached_downloader)

    def idle(self, opening: float | None) -> None:
        """Decide whether an idle spider stays open.

        :param opening: when the first request of a paused host may go, in Unix seconds; None if no host is paused.
        :raises DontCloseSpider: to stay.
        :raises CloseSpider: with the reason ``retries_waiting``, to leave what waits to the next run.
        """
        if self._handlers.busy:
            self._stay(None)
        due = self._timer.next_due()
        if due is None and opening is None:
            return
        now = self._clock()
        latest = now + max(self._patience, self._breaker.longest if self._has_given_up else 0.0)
        ends = self._end_of_patience()
        first = min(when for when in (due, opening) if when is not None)
        if now < ends:
            self._stay(min(first, ends))
        for when in (due, opening):
            if when is not None and when <= latest and (not ends or self._is_paused_shortly(now)):
                self._stay(when)
        if self._gives_up(now):
            self._stay(now)
        logger.info(
            "Closing: the next retry is due at %s, later than T8_RETRY_WAIT (%g s). Run the same command again after "
            "that",
            local_time(first),
            self._patience,
        )
        raise CloseSpider(REASON)

    def _gives_up(self, now: float) -> bool:
        """Give up the hosts that have not answered in time. Return whether there are any."""
        answered = self._answered()
        silent = [host for host in self._breaker.hosts() if self._breaker.is_open(host, now) and host not in answered]
        if not answered:
            return False
        self._has_given_up = self._has_given_up or bool(silent)
        for host in silent:
            self._breaker.give_up(host)
            logger.warning(
                "Host %s has answered nothing in this run (T8_RETRY_WAIT is %g s): its requests are tried a last time "
                "and become dead letters. 'scrapy t8 failed revive --host' tries them again",
                host,
                self._patience,
            )
        return bool(silent)

    def _end_of_patience(self) -> float:
        """Return until when the crawl waits for hosts that are down, in Unix seconds; 0 if no host is down."""
        now, hosts = self._clock(), self._breaker.hosts()
        downs = [max(hosts[host].since, self._began) for host in hosts if self._breaker.is_open(host, now)]
        return max(downs) + self._patience if downs else 0.0

    def _is_paused_shortly(self, now: float) -> bool:
        hosts = self._breaker.hosts().values()
        return any(now < health.paused_until <= now + self._patience for health in hosts)

    def _stay(self, due: float | None) -> None:
        self._pause()
        if due is not None and due != self._awaited:
            self._awaited = due
            self._timer.wake_at(due)
            self._log_wait(due)
        raise DontCloseSpider

    def _log_wait(self, due: float) -> None:
        now = self._clock()
        if now >= self._logged + LOGGED_EVERY:
            self._logged = now
            requests = counted(len(self._timer), "request waits", "requests wait")
            logger.info("%s for a retry, the first until %s", requests, local_time(due))

    # CLOSESPIDER_TIMEOUT_NO_ITEM: no items come because the crawl waits, not because the crawl has gone wrong.

    def _no_item_clock(self) -> AsyncioLoopingCall | LoopingCall | None:
        extension = self._crawler.get_extension(CloseSpiderExtension)
        return getattr(extension, "task_no_item", None)

    def _pause(self) -> None:
        clock = self._no_item_clock()
        if clock is not None and clock.running:
            clock.stop()
            self._is_paused = True

    def _resume(self) -> None:
        if not self._is_paused:
            return
        self._is_paused = False
        clock = self._no_item_clock()
        if clock is not None and not clock.running:
            clock.start(self._crawler.settings.getint("CLOSESPIDER_TIMEOUT_NO_ITEM"), now=False)
