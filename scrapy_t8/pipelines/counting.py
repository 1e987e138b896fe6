"""The first of all pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured
from scrapy.settings import BaseSettings
from scrapy.utils.conf import build_component_list
from scrapy.utils.misc import load_object

from scrapy_t8.core.job.job import Job
from scrapy_t8.core.page import current_page

from .dedup import T8DedupPipeline

if TYPE_CHECKING:
    from typing_extensions import Self


class T8ItemCounterPipeline:
    """Counts the items that enter the pipelines, so that the books can tell whether all of them have left.

    If the one that drops duplicates comes next, that one counts them: a pipeline less that each item goes through.
    """

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        job = Job.required(crawler)
        if not job.items.keeps_ledger:
            raise NotConfigured
        by_dedup = job.config.dedup != "off" and _next(crawler.settings) is T8DedupPipeline
        job.items.count_entries(by_dedup=by_dedup)
        if by_dedup:
            raise NotConfigured
        return cls()

    def process_item(self, item: Any) -> Any:
        page = current_page()
        if page is not None:
            page.own_items().enter()
        return item


def _next(settings: BaseSettings) -> Any:
    listed = build_component_list(settings.get_component_priority_dict_with_base("ITEM_PIPELINES"))
    classes = map(load_object, listed)
    return next((cls for cls in classes if cls is not T8ItemCounterPipeline), None)
