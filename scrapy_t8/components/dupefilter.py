"""The duplicate filter: the seen-set of the store."""

from __future__ import annotations

from typing import Any

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.dupefilters import RFPDupeFilter

from scrapy_t8.core.frontier.frontier import Frontier
from scrapy_t8.core.job.job import Job
from scrapy_t8.core.page import current_page
from scrapy_t8.model.entry import SEQ_BITS


class T8DupeFilter(RFPDupeFilter):
    """Scrapy's duplicate filter, with the seen-set in the store. A request is seen in the commit that admits it."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> T8DupeFilter:
        debug, job = crawler.settings.getbool("DUPEFILTER_DEBUG"), Job.required(crawler)
        return cls(debug=debug, fingerprinter=crawler.request_fingerprinter, frontier=job.frontier)

    def __init__(self, *args: Any, frontier: Frontier, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._frontier = frontier

    def request_seen(self, request: Request) -> bool:
        fingerprint, seen = self._frontier.fingerprint(request), self._frontier.seen
        if fingerprint in seen:
            # A retry was seen when it came first. An entry of no queue is of another job.
            page = current_page()
            return page is None or not page.was_waiting or not page.entry or not page.entry >> SEQ_BITS
        seen.add(fingerprint)
        return False
