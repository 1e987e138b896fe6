"""The delays that AutoThrottle has learned, kept across runs."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

from scrapy import signals
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured

from scrapy_t8.core.job.job import Job

NAME = "delays"
EVERY = 1.0
"""Seconds between two stores."""
LARGEST = 10_000
"""Hosts whose delays are kept, at the most."""


class T8ThrottleState:
    """Starts each host with the delay that earlier runs have learned, not with AUTOTHROTTLE_START_DELAY."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> T8ThrottleState:
        job = Job.required(crawler)
        if not crawler.settings.getbool("AUTOTHROTTLE_ENABLED"):
            raise NotConfigured
        extension = cls(crawler, job)
        crawler.signals.connect(extension.spider_opened, signals.spider_opened)
        return extension

    def __init__(self, crawler: Crawler, job: Job) -> None:
        self._crawler = crawler
        self._job = job
        self._delays: dict[str, float] = {}
        self._next = 0.0

    def spider_opened(self) -> None:
        data = self._job.store.kept(NAME).get(NAME)
        self._delays = json.loads(data) if data else {}
        assert self._crawler.engine is not None
        settings = self._crawler.engine.downloader.per_slot_settings
        for slot, delay in self._delays.items():
            settings[slot] = {"delay": delay, **settings.get(slot, {})}
        self._job.persist(self)

    def dump(self, *, force: bool) -> Mapping[str, bytes]:
        now = time.monotonic()
        if now < self._next and not force:
            return {}
        self._next = now + EVERY
        assert self._crawler.engine is not None
        learned = {key: round(slot.delay, 4) for key, slot in self._crawler.engine.downloader.slots.items()}
        delays = {**self._delays, **learned}
        if delays == self._delays or len(delays) > LARGEST:
            return {}
        self._delays = delays
        return {NAME: json.dumps(delays).encode()}
