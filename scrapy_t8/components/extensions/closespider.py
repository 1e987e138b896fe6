"""CLOSESPIDER_* limits that hold for the whole job."""

from __future__ import annotations

from scrapy import signals
from scrapy.crawler import Crawler
from scrapy.extensions.closespider import CloseSpider

from scrapy_t8.core import scrapy_private
from scrapy_t8.core.job.job import Job

from .stats import COUNTED, ELAPSED, Totals, totals_of


class T8CloseSpider(CloseSpider):
    """Takes the place of Scrapy's. With T8_CLOSESPIDER_PER_JOB the limits are those of the job, not of each run."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> T8CloseSpider:
        extension = super().from_crawler(crawler)
        job = Job.of(crawler)
        if job is not None and job.config.closespider_per_job:
            extension.count_from(totals_of(job.store))
        return extension

    def count_from(self, totals: Totals) -> None:
        """Go on counting from *totals* of earlier runs. A limit that is reached already ends the crawl at once."""
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
        def close() -> None:
            scrapy_private.close_spider(self.crawler, reason)

        self.crawler.signals.connect(close, signals.spider_opened, weak=False)
