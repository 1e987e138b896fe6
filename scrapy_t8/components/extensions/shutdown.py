"""A stop that takes no longer than it may."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from scrapy import signals
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured
from scrapy.utils.asyncio import CallLaterResult, call_later

from scrapy_t8.core.job.job import Job

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)

SHUTDOWN = "shutdown"
"""The reason with which Scrapy closes the spider after a signal."""


class T8GracefulStop:
    """After a signal, waits T8_STOP_GRACE seconds for what is in flight, and then gives it back to the frontier."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        job = Job.required(crawler)
        if not job.config.stop_grace:
            raise NotConfigured
        grace = cls(crawler, job, job.config.stop_grace)
        crawler.signals.connect(grace.engine_started, signals.engine_started)
        crawler.signals.connect(grace.spider_closed, signals.spider_closed)
        return grace

    def __init__(self, crawler: Crawler, job: Job, seconds: float) -> None:
        self._crawler = crawler
        self._job = job
        self._seconds = seconds
        self._timer: CallLaterResult | None = None

    def engine_started(self) -> None:
        """Hear of the signal by what it brings about."""
        engine: Any = self._crawler.engine
        close = engine.close_spider_async

        async def close_in_time(*, reason: str = "cancelled") -> None:
            if reason == SHUTDOWN and self._timer is None:
                self._job.retries.close()
                self._timer = call_later(self._seconds, self._give_back)
            await close(reason=reason)

        engine.close_spider_async = close_in_time

    def spider_closed(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _give_back(self) -> None:
        """What is in flight was never settled: to let go of it is to leave it in the frontier."""
        count = self._job.give_back_in_flight()
        if count:
            logger.warning(
                "%d requests still in flight %g s after the stop signal; returned to the queue", count, self._seconds
            )
