"""Items on their way out of the pipelines: noted with their page, and handed to the feeds."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from scrapy import signals
from scrapy.crawler import Crawler
from scrapy.exceptions import DropItem
from twisted.python.failure import Failure

from scrapy_t8.core.fail_fast import StopOnError
from scrapy_t8.core.page import ITEMS, Page, current_page
from scrapy_t8.utils.text import one_line

from .keys import clean
from .ledger import DROPPED, DUPLICATE, EXPORTED, FAILED, ItemLedger

logger = logging.getLogger(__name__)

REASON = 200
"""Characters of a reason that are kept."""
VALIDATION = "T8ValidationPipeline"
"""The pipeline that refuses invalid items, as losses name it: :func:`culprit` gives the name of its class."""


class Duplicate(DropItem):
    """Dropped, because an item with the same key was exported before."""


class InvalidItem(DropItem):
    """Dropped, because it is not as it should be. ``problems``: as :attr:`ItemTracker.problems_of` gives them."""

    def __init__(self, message: str, problems: list[list[str]]) -> None:
        super().__init__(message)
        self.problems = problems


class Works(Protocol):
    """What is asked of the job."""

    works: bool
    """Whether it is open and its store fit."""

    def end(self, page: Page) -> None:
        """A page has ended that was made for an item that belongs to none."""


class ItemTracker:
    """Hears of every item of a crawl.

    :param new_page: makes a page for an item that belongs to none.
    :param directory: where pages keep what does not fit into memory.
    :param guard: in which items are written down: an item that is not must stop the crawl, not vanish.
    :param keeps_books: whether items are written down at all.
    """

    def __init__(
        self,
        crawler: Crawler,
        job: Works,
        book: ItemLedger,
        new_page: Callable[[None], Page],
        directory: Path,
        guard: StopOnError,
        *,
        keeps_books: bool,
    ) -> None:
        self._job = job
        self.book = book
        self._new_page = new_page
        self._directory = directory
        self._guard = guard
        self.keeps_books = keeps_books
        self.listeners: list[Callable[[Any], None]] = []
        """Told of each item that is scraped; what they stage meanwhile belongs to it."""
        self.problems_of: Callable[[Any], list[list[str]]] | None = None
        """What is wrong with an item that is scraped: rule, class, field and message of each problem."""
        self.counts_entries = False
        """Whether somebody counts the items that enter the pipelines."""
        self.dedup_counts = False
        """Whether that is the pipeline that drops duplicates."""
        crawler.signals.connect(self.item_scraped, signals.item_scraped)
        crawler.signals.connect(self.item_dropped, signals.item_dropped)
        crawler.signals.connect(self.item_error, signals.item_error)

    def item_scraped(self, item: Any) -> None:
        if self._job.works:
            self._leave(EXPORTED, item)

    def item_dropped(self, item: Any, response: Any, exception: BaseException) -> None:
        if self._job.works:
            outcome = DUPLICATE if isinstance(exception, Duplicate) else DROPPED
            self._leave(outcome, item, exception, response)

    def item_error(self, item: Any, response: Any, failure: Failure) -> None:
        if self._job.works:
            self._leave(FAILED, item, failure.value, response)

    def _leave(self, outcome: int, item: Any, error: BaseException | None = None, response: Any = None) -> None:
        page, orphan = current_page(), False
        if page is None:
            page, orphan = self._new_page(None), True
            page.enter()
        if orphan or not self.counts_entries:
            page.entered += 1
        page.items += 1
        page.item = page.items
        if self.keeps_books:
            with self._guard:
                self._note(page, outcome, item, error, response)
        else:
            page.entered, page.kept = 0, page.kept + (outcome == EXPORTED)
        if outcome == EXPORTED:
            for listener in self.listeners:
                listener(item)
        page.item = 0
        if orphan:
            self._job.end(page)

    def _note(self, page: Page, outcome: int, item: Any, error: BaseException | None, response: Any) -> None:
        loss, problems = None, getattr(error, "problems", [])
        if outcome in (DROPPED, FAILED) and error is not None:
            pipeline, reason = culprit(error.__traceback__), told(error, outcome)
            loss = pipeline, reason, clean(getattr(response, "url", None) or "")
            page.lost = page.lost or self.book.cause(outcome, pipeline, reason)
        else:
            page.kept += 1
            if self.problems_of is not None and outcome == EXPORTED:
                problems = self.problems_of(item)
        note = self.book.note(outcome, item, page, loss, problems)
        if page.story is not None and page.was_delivered(ITEMS, self.book.identity(note)):
            page.entered -= 1  # an earlier attempt of the page has brought it into the books
        else:
            page.note(note, self._directory)


def culprit(trace: TracebackType | None) -> str:
    """The class of the pipeline that an exception has come from, as far as its traceback tells."""
    found = ""
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_code.co_name == "process_item" and "self" in frame.f_locals:
            found = type(frame.f_locals["self"]).__qualname__
        trace = trace.tb_next
    return found


def told(error: BaseException, outcome: int) -> str:
    """Why a pipeline has lost an item, in a line."""
    text = clean(one_line(error, REASON))
    if outcome == DROPPED:
        return text or type(error).__name__
    return one_line(f"{type(error).__name__}: {text}" if text else type(error).__name__, REASON)
