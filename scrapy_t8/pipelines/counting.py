"""Counts the items that enter the pipelines, so that the ledger can tell whether all of them have left."""

from __future__ import annotations

from itertools import takewhile
from typing import Any

from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured
from scrapy.settings import BaseSettings

from scrapy_t8.core.job.job import Job
from scrapy_t8.core.page import current_page
from scrapy_t8.core.scrapy_private import components_in_order

from .buffers import BufferWatch


class CountingPipeline:
    """A pipeline that can count items. Of those that stand before all other pipelines, the last one counts."""

    @classmethod
    def counts_items(cls, settings: BaseSettings) -> bool:
        """Whether it is this pipeline that counts."""
        return list(takewhile(_can_count, components_in_order(settings, "ITEM_PIPELINES")))[-1:] == [cls]


def _can_count(pipeline: Any) -> bool:
    return isinstance(pipeline, type) and issubclass(pipeline, CountingPipeline)


class T8ItemCounterPipeline(CountingPipeline):
    """Counts, and does nothing else. It is off where T8DedupPipeline counts: a call less for each item."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> T8ItemCounterPipeline:
        job = Job.required(crawler)
        by_dedup = job.config.dedup != "off" and not cls.counts_items(crawler.settings)
        if by_dedup or not job.items.keeps_ledger:
            raise NotConfigured
        job.items.count_entries()
        job.persist(BufferWatch(crawler))
        return cls()

    def process_item(self, item: Any) -> Any:
        page = current_page()
        if page is not None:
            page.own_items().entered += 1
        return item
