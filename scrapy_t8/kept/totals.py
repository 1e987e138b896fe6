"""Statistics over all runs of a job, and limits that count over all of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scrapy import signals
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured
from scrapy.extensions.closespider import CloseSpider

from .. import joints
from ..job import Job
from ..stores.base import Store

if TYPE_CHECKING:
    from typing_extensions import Self

NAME = "totals"
JOB = "t8/job/"
"""Before the name of a statistic that is of all runs."""
ELAPSED = "elapsed_time_seconds"
COUNTED = {
    "itemcount": "item_scraped_count",
    "pagecount": "response_received_count",
    "errorcount": "spider_exceptions/count",
}
"""What CLOSESPIDER_* counts, and which statistic that is."""

Totals = dict[str, float]


def totals_of(store: Store) -> Totals:
    """The numbers of all runs so far."""
    data = store.kept(NAME).get(NAME)
    return dict(json.loads(data)) if data else {}


def merged(before: Mapping[str, float], now: Mapping[str, Any]) -> Totals:
    """The numbers of earlier runs and of this one: sums, but of a maximum the greater."""
    totals = dict(before)
    for name, value in now.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or name.startswith("t8/"):
            continue
        if name.rpartition("/")[2].startswith("max") or name.endswith(("_max", "/startup")):
            totals[name] = max(totals.get(name, value), value)
        elif not name.endswith("_per_minute"):
            totals[name] = totals.get(name, 0) + value
    return totals


class T8Totals:
    """Keeps the statistics in every commit, and at the end adds ``t8/job/...``: the same over all runs of the job."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        job = Job.of(crawler)
        if not job.is_open:
            raise NotConfigured
        totals = cls(crawler, job)
        crawler.signals.connect(totals.spider_closed, signals.spider_closed)
        return totals

    def __init__(self, crawler: Crawler, job: Job) -> None:
        self._crawler = crawler
        self._job = job
        self._before = totals_of(job.store)
        job.keepers.append(self)

    def dump(self, *, force: bool) -> Mapping[str, bytes]:
        return {NAME: json.dumps(self._totals()).encode()}

    def spider_closed(self) -> None:
        if self._before:
            assert self._crawler.stats is not None
            for name, value in self._totals().items():
                self._crawler.stats.set_value(JOB + name, value)

    def _totals(self) -> Totals:
        assert self._crawler.stats is not None
        numbers = self._crawler.stats.get_stats()
        if ELAPSED not in numbers:
            numbers = {**numbers, ELAPSED: self._job.clock() - self._job.began}
        return merged(self._before, numbers)


class T8CloseSpider(CloseSpider):
    """In the place of Scrapy's. With T8_CLOSESPIDER_PER_JOB the limits are those of the job, not of each run."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        extension = super().from_crawler(crawler)
        job = Job.of(crawler)
        if job.is_open and job.config.closespider_per_job:
            extension._count_from(totals_of(job.store))
        return extension

    def _count_from(self, totals: Totals) -> None:
        """Go on from what earlier runs have counted. A limit that is reached already ends the crawl at once."""
        for limit, statistic in COUNTED.items():
            self.counter[limit] = int(totals.get(statistic, 0))
            if self.close_on[limit] and self.counter[limit] >= self.close_on[limit]:
                self._end_at_once(f"closespider_{limit}")
        if self.close_on["timeout"]:
            self.close_on["timeout"] -= totals.get(ELAPSED, 0)
            if self.close_on["timeout"] <= 0:
                self.close_on["timeout"] = 0
                self._end_at_once("closespider_timeout")

    def _end_at_once(self, reason: str) -> None:
        def end() -> None:
            joints.close_spider(self.crawler, reason)

        # The signals keep no strong reference.
        self._ends = [*getattr(self, "_ends", ()), end]
        self.crawler.signals.connect(end, signals.spider_opened)
