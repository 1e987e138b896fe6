"""The first of all pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured

from ..job import Job

if TYPE_CHECKING:
    from typing_extensions import Self


class T8EntryPipeline:
    """Counts the items that enter the pipelines, so that the books can tell whether all of them have left."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        job = Job.of(crawler)
        if not job.is_open or not job.items.keeps_books:
            raise NotConfigured
        job.items.counts_entries = True
        return cls(job)

    def __init__(self, job: Job) -> None:
        self._entered = job.items.entered

    def process_item(self, item: Any) -> Any:
        self._entered()
        return item
