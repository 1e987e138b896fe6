"""Each item once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from itemadapter import ItemAdapter
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured

from ..itemflow import Duplicate
from ..job import Job

if TYPE_CHECKING:
    from typing_extensions import Self


class T8DedupPipeline:
    """Drops an item that was exported before, by a page that has settled, before the pipelines after it work on it.

    Two of them that are under way at the same time are told apart when their pages settle: one of them reaches no feed.
    With ``T8_DEDUP_POLICY = "changed"`` the field that T8_CHANGED_FIELD names, if the item has it, gets the names of
    the fields that differ from the time before.
    """

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        job = Job.of(crawler)
        if not job.is_open or job.config.dedup == "off":
            raise NotConfigured
        return cls(job)

    def __init__(self, job: Job) -> None:
        self._job = job
        self._field = job.config.changed_field

    def process_item(self, item: Any) -> Any:
        book = self._job.items.book
        key = book.duplicate_of(item)
        if key is not None:
            raise Duplicate(f"a duplicate of {key}")
        if self._field:
            adapter = ItemAdapter(item)
            if isinstance(item, dict) or self._field in adapter.field_names():
                adapter[self._field] = book.changed_fields(item)
        return item
