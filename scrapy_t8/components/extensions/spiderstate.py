"""``spider.state`` as part of the commits."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from scrapy import Spider, signals
from scrapy.crawler import Crawler

from scrapy_t8.core.job.job import Job
from scrapy_t8.errors import CannotLoad, CannotStore
from scrapy_t8.utils.log.loggers import get_logger

logger = get_logger(__name__)

NAME = "spider.state"
REST = 20
"""Minimum pause between two stores, as a multiple of the time that one takes (5 % overhead)."""


class T8SpiderState:
    """Takes the place of Scrapy's: ``spider.state`` is the same dict, but survives a kill and is stored without pickle.

    A commit has the state as it is at that time, with what pages in flight have changed in it.
    """

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> T8SpiderState:
        job = Job.required(crawler)
        state = cls(job)
        crawler.signals.connect(state.spider_opened, signals.spider_opened)
        return state

    def __init__(self, job: Job) -> None:
        self._job = job
        self._spider: Any = None
        self._stored = b""
        self._next = 0.0
        self._refused: set[str] = set()

    def spider_opened(self, spider: Spider) -> None:
        self._spider = spider
        self._spider.state = self._load()
        self._job.persist(self)

    def dump(self, *, force: bool) -> Mapping[str, bytes]:
        began = time.monotonic()
        if began < self._next and not force:
            return {}
        data = self._encode(getattr(self._spider, "state", None) or {})
        now = time.monotonic()
        self._next = now + REST * (now - began)
        if data == self._stored:
            return {}
        self._stored = data
        return {NAME: data}

    def _encode(self, state: Any) -> bytes:
        codec = self._job.codec
        try:
            return codec.encode_item(state)
        except CannotStore:
            return codec.encode_item({key: value for key, value in state.items() if self._can_store(key, value)})

    def _can_store(self, key: Any, value: Any) -> bool:
        try:
            self._job.codec.encode_item({key: value})
        except CannotStore as error:
            if repr(key) not in self._refused:
                self._refused.add(repr(key))
                logger.warning("spider.state[%r] cannot be stored and will not survive this run: %s", key, error)
            return False
        return True

    def _load(self) -> dict[Any, Any]:
        self._stored = self._job.store.kept(NAME).get(NAME, b"")
        if not self._stored:
            return {}
        try:
            return dict(self._job.codec.decode_item(self._stored))
        except (CannotLoad, TypeError, ValueError) as error:
            logger.error("The stored spider.state cannot be read; it starts empty: %s", error)
            return {}
