"""One line in the log about what fails, as often as Scrapy logs how many pages were crawled."""

from __future__ import annotations

from collections import Counter

from scrapy import signals
from scrapy.crawler import Crawler
from scrapy.utils.asyncio import AsyncioLoopingCall, create_looping_call
from twisted.internet.task import LoopingCall

from scrapy_t8.core.job.job import Job
from scrapy_t8.utils.log.loggers import get_logger
from scrapy_t8.utils.text import counted
from scrapy_t8.utils.times import local_time

logger = get_logger(__name__)

COUNTED = ("t8/retry/count/", "t8/retry/buried/")
"""Beginnings of the statistics of failed attempts, before the kind of failure."""
HOSTS = 5
"""Hosts that a line names."""


class FailureSummary:
    """Logs every *interval* seconds how many attempts have failed since the last line; nothing if none has."""

    @classmethod
    def begin(cls, crawler: Crawler, job: Job) -> None:
        """Log summaries while *crawler* runs, unless LOGSTATS_INTERVAL is 0."""
        interval = crawler.settings.getfloat("LOGSTATS_INTERVAL")
        if interval > 0:
            summary = cls(crawler, job, interval)
            # The signals refer to the summary, and end with the crawler.
            crawler.signals.connect(summary.spider_opened, signals.spider_opened, weak=False)
            crawler.signals.connect(summary.spider_closed, signals.spider_closed, weak=False)

    def __init__(self, crawler: Crawler, job: Job, interval: float) -> None:
        self._crawler = crawler
        self._job = job
        self._interval = interval
        self._before: Counter[str] = Counter()
        self._timer: LoopingCall | AsyncioLoopingCall | None = None

    def spider_opened(self) -> None:
        self._timer = create_looping_call(self.log)
        self._timer.start(self._interval, now=False)

    def spider_closed(self) -> None:
        if self._timer is not None and self._timer.running:
            self._timer.stop()

    def log(self) -> None:
        """Log what has failed since the last time."""
        counts = self._counts()
        failed, self._before = counts - self._before, counts
        if not failed or not self._job.works:
            return
        with self._job.guard("read what waits"):
            kinds = ", ".join(f"{count:,} {kind}" for kind, count in failed.most_common())
            attempts = counted(failed.total(), "attempt has", "attempts have")
            logger.info("%s failed in the last %g s (%s)%s", attempts, self._interval, kinds, self._waiting())

    def _counts(self) -> Counter[str]:
        assert self._crawler.stats is not None
        counts: Counter[str] = Counter()
        for name, value in self._crawler.stats.get_stats().items():
            if name.startswith(COUNTED):
                counts[name.rpartition("/")[2]] += value
        return counts

    def _waiting(self) -> str:
        """Return how many requests wait, until when and for which hosts, as the end of a line."""
        job = self._job
        waiting, due = len(job.retries.timer), job.store.next_due()
        if not waiting:
            return "; no request waits for a retry"
        hosts = ", ".join(f"{slot} ({count:,})" for slot, count in job.store.waiting_by_slot(HOSTS))
        until = f", the first until {local_time(due)}" if due is not None else ""
        requests = counted(waiting, "request waits", "requests wait")
        return f"; {requests} for a retry{until}{f': {hosts}' if hosts else ''}"
