"""Holds back all requests while what an item pipeline writes to cannot be reached, except for one page that probes."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from scrapy_t8.core import scrapy_private
from scrapy_t8.core.run import RunContext
from scrapy_t8.model.attempts import AttemptHistory
from scrapy_t8.utils.log.loggers import get_logger

from .breaker import Breaker, Evidence
from .failure import OUTAGE, Failure
from .policy import HostState

logger = get_logger(__name__)

DOWN = "t8_pipeline_down"
"""The close reason when an outage has lasted longer than T8_BREAKER_GIVE_UP."""
UNKNOWN = "an item pipeline"


class PipelineOutages:
    """The outages of one run. Pipelines are to the breaker what hosts are."""

    def __init__(self, context: RunContext) -> None:
        config = context.config
        self._crawler = context.crawler
        self._clock = context.clock
        self._give_up = config.breaker_give_up
        self._hold: Callable[[bool], object] = lambda is_held: None
        self._wake: Callable[[float], object] = lambda due: None
        self._breaker = Breaker(
            failures=config.breaker_failures, probe=config.breaker_probe, longest=config.breaker_probe_cap, give_up=inf
        )
        self.is_watching = False
        """Whether any pipeline has failed, so that the end of each page says something."""

    def hold_with(self, hold: Callable[[bool], object], wake: Callable[[float], object]) -> None:
        """Call *hold* with whether requests are held back, and *wake* with the time of the next probe."""
        self._hold, self._wake = hold, wake

    def failed(self, request: int, failure: Failure, history: AttemptHistory) -> HostState | None:
        """Record that a page has failed because of an outage.

        :param request: the fingerprint of its request.
        :param history: its earlier attempts. Those that have failed by the same outage are charged no more.
        :returns: when the next page may be tried, if the pipeline counts as down.
        """
        now, pipeline = self._clock(), failure.detail.get("pipeline") or UNKNOWN
        self.is_watching = True
        if self._breaker.failed(pipeline, Evidence(request, is_first=not history.attempts), now):
            logger.warning("%s has lost what it writes to (%s): holding back requests", pipeline, failure.error)
            self._hold(True)
        if not self._breaker.is_open(pipeline, now):
            return None
        if now > self._breaker[pipeline].since + self._give_up:
            logger.error("%s is still down: run the same command again when it is up. Nothing is lost", pipeline)
            scrapy_private.close_spider(self._crawler, DOWN)
        opens = self._breaker.opens_at(pipeline)
        self._wake(opens)
        history.refund(self._breaker.refund(pipeline, request), (OUTAGE,))
        return HostState(opens)

    def page_ended(self, request: int, *, has_items: bool) -> None:
        """Record that a page has ended without an outage. Only items that have passed all pipelines say anything."""
        now = self._clock()
        for pipeline in self._breaker.hosts():
            if not has_items:
                self._breaker.probe_again(pipeline, request, now)
            elif self._breaker.succeeded(pipeline, now):
                logger.info("%s works again, resuming requests", pipeline)
        if has_items:
            self.is_watching = False
            self._hold(False)
        scrapy_private.schedule_next_call(self._crawler)

    def wants_probe(self) -> bool:
        """Whether one request may go although requests are held back."""
        now = self._clock()
        down = [pipeline for pipeline in self._breaker.hosts() if self._breaker.is_open(pipeline, now)]
        return bool(down) and all(self._breaker.wants_probe(pipeline, now) for pipeline in down)

    def probe(self, request: int) -> None:
        """Record that a request goes, whose page shows whether the pipelines work."""
        for pipeline in self._breaker.hosts():
            self._breaker.probe(pipeline, request)
