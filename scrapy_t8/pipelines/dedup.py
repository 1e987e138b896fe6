"""Each item once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from itemadapter import ItemAdapter
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured

from scrapy_t8.core.items.tracker import Duplicate
from scrapy_t8.core.job.job import Job
from scrapy_t8.core.page import current_page

if TYPE_CHECKING:
    from typing_extensions import Self


class T8DedupPipeline:
    """Drops an item that was exported before, by a page that has settled, before the pipelines after it work on it.

    Two of them that are under way at the same time are told apart when their pages settle: one of them reaches no feed.
    """

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        job = Job.required(crawler)
        if job.config.dedup == "off":
            raise NotConfigured
        return cls(job)

    def __init__(self, job: Job) -> None:
        self._job = job
        self._ledger = job.items.ledger
        self._counts = job.items.dedup_counts

    def process_item(self, item: Any) -> Any:
        page = current_page()
        if self._counts and page is not None:
            page.own_items().enter()
        if self._ledger.compares:
            self._job.settle_ended()
        key = self._ledger.duplicate_of(item, page)
        if key is not None:
            raise Duplicate(f"a duplicate of {key}")
        return item


class T8ChangesPipeline:
    """With ``T8_DEDUP_POLICY = "changed"``: names in T8_CHANGED_FIELD what differs from the time before.

    It stands behind all pipelines that change an item. An item that has no such field stays as it is.
    """

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
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
