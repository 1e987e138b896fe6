"""Exports each item once: drops duplicates, or names what has changed."""

from __future__ import annotations

from typing import Any

from itemadapter import ItemAdapter
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured

from scrapy_t8.core.items.tracker import Duplicate
from scrapy_t8.core.job.job import Job
from scrapy_t8.core.page import current_page

from .buffers import BufferWatch
from .counting import CountingPipeline


class T8DedupPipeline(CountingPipeline):
    """Drops an item that a settled page has exported before, so that later pipelines do not work on it.

    Of two equal items in flight at the same time, one reaches no feed. That is decided when their pages settle.
    """

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> T8DedupPipeline:
        job = Job.required(crawler)
        if job.config.dedup == "off":
            raise NotConfigured
        counts = cls.counts_items(crawler.settings)
        if counts:
            job.persist(BufferWatch(crawler))
        return cls(job, counts=counts)

    def __init__(self, job: Job, *, counts: bool) -> None:
        self._job = job
        self._ledger = job.items.ledger
        self._counts = counts
        if counts:
            job.items.count_entries()

    def process_item(self, item: Any) -> Any:
        page = current_page()
        if self._counts and page is not None:
            page.own_items().entered += 1
        if self._ledger.compares:
            self._job.settle_ended()
        key = self._ledger.duplicate_of(item, page)
        if key is not None:
            raise Duplicate(f"a duplicate of {key}")
        return item


class T8ChangesPipeline:
    """With ``T8_DEDUP_POLICY = "changed"``: lists in T8_CHANGED_FIELD the fields that differ from the last export.

    It stands behind all pipelines that change an item. An item that has no such field stays as it is.
    """

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> T8ChangesPipeline:
        job = Job.required(crawler)
        config = job.config
        if config.dedup == "off" or config.dedup_policy != "changed" or not config.changed_field:
            raise NotConfigured
        return cls(job, config.changed_field)

    def __init__(self, job: Job, field: str) -> None:
        self._job = job
        self._ledger = job.items.ledger
        self._field = field

    def process_item(self, item: Any) -> Any:
        if isinstance(item, dict) or self._field in ItemAdapter(item).field_names():
            self._job.settle_ended()
            ItemAdapter(item)[self._field] = self._ledger.changed_fields(item, current_page())
        return item
