"""``spider.state`` as part of the commits.

A page that is not done at a kill is processed again, and raises its counters again. So what a commit stores of a
counter is without the steps of such pages. A counter is a whole number that each page raises by the same step. Other
values are stored as they are: a maximum or a position that a later page has assigned would be too low otherwise.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from scrapy import Spider, signals
from scrapy.crawler import Crawler

from scrapy_t8.core.job.job import Job
from scrapy_t8.core.page import Page, current_page
from scrapy_t8.errors import CannotLoad, CannotStore
from scrapy_t8.utils.log.loggers import get_logger

logger = get_logger(__name__)

NAME = "spider.state"
LARGE = 16384
"""Bytes of a state that is not stored with each commit."""
REST = 20
"""Minimum pause between two stores of a large state, as a multiple of the time that one takes (5 % overhead)."""


class PageCounter:
    """The steps by which pages have raised a number.

    :param step: the step, the same each time.
    """

    __slots__ = ("step", "steps_of", "value")

    def __init__(self, step: int) -> None:
        self.step = step
        self.value = 0
        """The number after the last step."""
        self.steps_of: dict[Page, int] = {}
        """How many steps each page has made that is not done."""

    def raised(self, value: int, page: Page) -> None:
        """Record that *page* has raised the number to *value*."""
        self.value = value
        self.steps_of[page] = self.steps_of.get(page, 0) + 1

    def without_unsettled(self) -> int:
        """Return the number without the steps of pages that are not done. Forget the other pages."""
        self.steps_of = {page: steps for page, steps in self.steps_of.items() if not page.is_settled}
        return self.value - self.step * sum(self.steps_of.values())


class SpiderState(dict[Any, Any]):
    """The dict ``spider.state``. It notes which pages have raised the counters in it."""

    def __init__(self, values: Mapping[Any, Any]) -> None:
        super().__init__(values)
        self._counters: dict[Any, PageCounter | None] = {}
        """The counters by key; None for a key whose value is no counter."""

    def __reduce__(self) -> tuple[type, tuple[dict[Any, Any]]]:
        return dict, (dict(self),)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._note(key, value)
        super().__setitem__(key, value)

    def _note(self, key: Any, value: Any) -> None:
        page, before = current_page(), self.get(key, 0)
        if page is None:
            self._counters.pop(key, None)  # the project begins to count anew
        elif type(value) is not int or type(before) is not int:
            self._counters[key] = None
        elif value != before:
            counter = self._counters.setdefault(key, PageCounter(value - before))
            if counter is not None and value - before == counter.step > 0:
                counter.raised(value, page)
            else:
                self._counters[key] = None

    def stored(self) -> dict[Any, Any]:
        """Return what a commit stores: counters without the steps of pages that are not done."""
        values = dict(self)
        for key, counter in self._counters.items():
            if counter is not None and values.get(key) == counter.value:
                values[key] = counter.without_unsettled()
        return values


class T8SpiderState:
    """Takes the place of Scrapy's: ``spider.state`` survives a kill and is stored without pickle."""

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
        self._spider.state = SpiderState(self._load())
        self._job.persist(self)

    def dump(self, *, force: bool) -> Mapping[str, bytes]:
        began = time.monotonic()
        if began < self._next and not force:
            return {}
        state = getattr(self._spider, "state", None) or {}
        data = self._encode(state.stored() if isinstance(state, SpiderState) else state)
        now = time.monotonic()
        self._next = now + REST * (now - began) if len(data) > LARGE else 0.0
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
