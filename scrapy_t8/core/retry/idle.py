"""A crawl that has nothing to do but to wait for retries: how long does it stay?"""

from __future__ import annotations

import logging
from collections.abc import Callable

from scrapy import signals
from scrapy.crawler import Crawler
from scrapy.exceptions import CloseSpider, DontCloseSpider
from scrapy.extensions.closespider import CloseSpider as CloseSpiderExtension
from scrapy.utils.asyncio import AsyncioLoopingCall
from twisted.internet.task import LoopingCall

from scrapy_t8.utils.times import local_time

from .breaker import Breaker
from .handlers import Handlers
from .timer import RetryTimer

logger = logging.getLogger(__name__)

REASON = "retries_waiting"


class IdlePolicy:
    """Keeps an idle crawl open for what is due within *patience* seconds, and closes it if there is only more beyond.

    A host that is down is waited for as long, from when it went down or the run began.

    :param opening: when the first request of a host that is spared may go, if there is one.
    """

    def __init__(
        self,
        crawler: Crawler,
        room: RetryTimer,
        handlers: Handlers,
        breaker: Breaker,
        opening: Callable[[], float | None],
        patience: float,
        clock: Callable[[], float],
    ) -> None:
        self._crawler = crawler
        self._room = room
        self._handlers = handlers
        self._breaker = breaker
        self._opening = opening
        self._patience = patience
        self._clock = clock
        self._began = clock()
        self._told: float | None = None
        self._is_paused = False
        crawler.signals.connect(self._resume, signals.request_reached_downloader)

    def idle(self) -> None:
        """The spider is idle.

        :raises DontCloseSpider: to stay.
        :raises CloseSpider: with the reason ``retries_waiting``, to leave what waits to the next run.
        """
        if self._handlers.busy:
            self._stay(None)
        due, opening = self._room.next_due(), self._opening()
        if due is None and opening is None:
            return
        now = self._clock()
        if due is not None and due <= now + self._patience and not self._is_only_for_dead_hosts(now):
            self._stay(due)
        if opening is not None and opening <= now + self._patience and self._is_worth_it(now):
            self._stay(opening)
        first = min(when for when in (due, opening) if when is not None)
        logger.info(
            "What is left waits until %s or later, beyond T8_RETRY_WAIT (%g s): run the same command again then",
            local_time(first),
            self._patience,
        )
        raise CloseSpider(REASON)

    def _is_worth_it(self, now: float) -> bool:
        """Whether a host went down so lately that it may be back soon."""
        hosts = self._breaker.hosts().values()
        if any(now < health.paused_until <= now + self._patience for health in hosts):
            return True
        downs = [max(health.since, self._began) for health in hosts if health.is_open]
        return not downs or max(downs) + self._patience > now

    def _is_only_for_dead_hosts(self, now: float) -> bool:
        return bool(self._breaker) and not self._is_worth_it(now)

    def _stay(self, due: float | None) -> None:
        self._pause()
        if due is not None and due != self._told:
            self._told = due
            self._room.expect(due)
            logger.info("%d requests wait for another try, the first until %s", len(self._room), local_time(due))
        raise DontCloseSpider

    # CLOSESPIDER_TIMEOUT_NO_ITEM: no items come because the crawl waits, not because it has gone wrong.

    def _clock_of_no_item(self) -> AsyncioLoopingCall | LoopingCall | None:
        extension = self._crawler.get_extension(CloseSpiderExtension)
        return getattr(extension, "task_no_item", None)

    def _pause(self) -> None:
        clock = self._clock_of_no_item()
        if clock is not None and clock.running:
            clock.stop()
            self._is_paused = True

    def _resume(self) -> None:
        if not self._is_paused:
            return
        self._is_paused = False
        clock = self._clock_of_no_item()
        if clock is not None and not clock.running:
            clock.start(self._crawler.settings.getint("CLOSESPIDER_TIMEOUT_NO_ITEM"), now=False)
