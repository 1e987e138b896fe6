"""Checks items, and drops, buries or reports those that are invalid."""

from __future__ import annotations

from typing import Any

from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured

from scrapy_t8.core.items.tracker import InvalidItem
from scrapy_t8.core.job.job import Job
from scrapy_t8.core.retry.failure import INVALID, Failure
from scrapy_t8.utils.text import one_line


class T8ValidationPipeline:
    """The last pipeline: checks items by T8_REQUIRED_FIELDS and T8_ITEM_SCHEMA, and does what T8_INVALID_ITEMS says."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> T8ValidationPipeline:
        job = Job.required(crawler)
        if not job.items.checks:
            raise NotConfigured
        return cls(job, job.config.invalid_items)

    def __init__(self, job: Job, policy: str) -> None:
        self._job = job
        self._checks = job.items.checks
        self._buries = policy == "bury"
        self._keeps = policy == "keep"
        if self._keeps:
            job.items.note_problems(self._problems)

    def process_item(self, item: Any) -> Any:
        problems = [] if self._keeps else self._problems(item)
        if not problems:
            return item
        text = "; ".join(f"{field}: {message}" if field else message for _, _, field, message in problems)
        if self._buries:
            failure = Failure(INVALID, one_line(f"an invalid {problems[0][1]}: {text}"))
            self._job.record_item_failure(failure)
        raise InvalidItem(one_line(text, 200), problems)

    def _problems(self, item: Any) -> list[list[str]]:
        return [[found.rule, found.item, found.field, found.message] for found in self._checks.check(item)]
