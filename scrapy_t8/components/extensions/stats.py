"""Statistics over all runs of a job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgpack
from scrapy import signals
from scrapy.crawler import Crawler

from scrapy_t8.core.job.job import Job
from scrapy_t8.stores.base import Store

from .failure_summary import FailureSummary

BEFORE, NOW = "totals:before", "totals:now"
JOB = "t8/job/"
"""Prefix of the statistics of all runs."""
ELAPSED = "elapsed_time_seconds"
COUNTED = {
    "itemcount": "item_scraped_count",
    "pagecount": "response_received_count",
    "errorcount": "spider_exceptions/count",
}
"""For each CLOSESPIDER_* limit: the statistic that it counts."""

Totals = dict[str, float]


def totals_of(store: Store) -> Totals:
    """Return the numbers of all runs so far."""
    kept = store.kept("totals:")
    before, now = (msgpack.unpackb(kept.get(name, b"\x80")) for name in (BEFORE, NOW))
    return merged(before, now)


def merged(before: Mapping[str, float], now: Mapping[str, Any]) -> Totals:
    """Return the numbers of earlier runs and of this one together: sums, but of a maximum the greater."""
    totals = dict(before)
    for name, value in now.items():
        if name.startswith("t8/"):
            continue
        if name.rpartition("/")[2].startswith("max") or name.endswith(("_max", "/startup")):
            totals[name] = max(totals.get(name, value), value)
        elif not name.endswith("_per_minute"):
            totals[name] = totals.get(name, 0) + value
    return totals


class T8JobStats:
    """Keeps the statistics in every commit. With T8_JOB_STATS, ends a run with those of all runs, as ``t8/job/...``."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> T8JobStats:
        job = Job.required(crawler)
        extension = cls(crawler, job)
        FailureSummary.begin(crawler, job)
        if job.config.job_stats:
            crawler.signals.connect(extension.spider_closed, signals.spider_closed)
        return extension

    def __init__(self, crawler: Crawler, job: Job) -> None:
        self._crawler = crawler
        self._job = job
        self._before = totals_of(job.store)
        self._unstored = {BEFORE: msgpack.packb(self._before)}
        job.persist(self)

    def dump(self, *, force: bool) -> Mapping[str, bytes]:
        # Runs on every commit: totals are merged only when they are read.
        before, self._unstored = self._unstored, {}
        return {**before, NOW: msgpack.packb(self._numbers())}

    def spider_closed(self) -> None:
        assert self._crawler.stats is not None
        for name, value in merged(self._before, self._numbers()).items():
            self._crawler.stats.set_value(JOB + name, value)

    def _numbers(self) -> Totals:
        assert self._crawler.stats is not None
        stats = self._crawler.stats.get_stats()
        numbers = {name: value for name, value in stats.items() if type(value) is int or type(value) is float}
        numbers.setdefault(ELAPSED, self._job.clock() - self._job.began)
        return numbers
