"""A stop by a signal that takes no longer than T8_STOP_GRACE."""

from __future__ import annotations

from scrapy import signals
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured
from scrapy.utils.asyncio import CallLaterResult, call_later

from scrapy_t8.core import scrapy_private
from scrapy_t8.core.job.job import Job
from scrapy_t8.utils.log.loggers import get_logger
from scrapy_t8.utils.text import counted

logger = get_logger(__name__)


class T8GracefulStop:
    """After a signal, waits T8_STOP_GRACE seconds for requests in flight, then returns the rest to the frontier."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> T8GracefulStop:
        job = Job.required(crawler)
        if not job.config.stop_grace:
            raise NotConfigured
        extension = cls(crawler, job, job.config.stop_grace)
        crawler.signals.connect(extension.engine_started, signals.engine_started)
        crawler.signals.connect(extension.spider_closed, signals.spider_closed)
        return extension

    def __init__(self, crawler: Crawler, job: Job, seconds: float) -> None:
        self._crawler = crawler
        self._job = job
        self._seconds = seconds
        self._timer: CallLaterResult | None = None

    def engine_started(self) -> None:
        scrapy_private.call_around_close(self._crawler, self._begin)

    def spider_closed(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _begin(self, reason: str) -> None:
        if reason == scrapy_private.SHUTDOWN and self._timer is None:
            self._job.retries.close()
            self._timer = call_later(self._seconds, self._give_up)

    def _give_up(self) -> None:
        # What is in flight was never settled: it is in the frontier still.
        count = self._job.give_back_in_flight()
        if count:
            requests = counted(count, "request is", "requests are")
            message = "%s still in flight %g s after the stop signal, and returned to the queue"
            logger.warning(message, requests, self._seconds)
