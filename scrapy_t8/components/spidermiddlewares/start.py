"""``start()`` across resumes: read to its end once, however often the crawl is killed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.exceptions import DontCloseSpider
from scrapy.utils.asyncio import AsyncioLoopingCall, call_later, create_looping_call
from twisted.internet.task import LoopingCall

from scrapy_t8.config.causes import AGAIN
from scrapy_t8.core import scrapy_private
from scrapy_t8.core.job.job import Job
from scrapy_t8.core.page import Page, current_page
from scrapy_t8.errors import CannotStore, T8Error
from scrapy_t8.model.entry import Ending
from scrapy_t8.utils.hashes import content_fingerprint
from scrapy_t8.utils.threads import is_of_code

from .begin import RunBeginning

OTHER_ITEMS = "start() has yielded other items than in the run that was killed: the same item may be there twice"
LOOK = 0.1  # Seconds between two looks whether a spider that is being closed has items of start() in the pipelines


class T8StartMiddleware:
    """Spider middleware, the outermost: makes ``start()`` a page that settles when ``start()`` was read to its end.

    Until then everything that ``start()`` yields is remembered, so that nothing comes twice when it is read again from
    the top. An item is recognised by its content, as it was yielded.
    """

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> T8StartMiddleware:
        start = cls(Job.required(crawler))
        crawler.signals.connect(start.spider_opened, signals.spider_opened)
        return start

    def __init__(self, job: Job) -> None:
        self._job = job
        self._items: set[Page] = set()
        self._listens = False
        self._beginning: RunBeginning | None = None
        self._keyless = 0
        """Items without a key that no earlier reading of ``start()`` has brought."""
        self._looking: LoopingCall | AsyncioLoopingCall | None = None

    def spider_opened(self) -> None:
        if self._job.works:
            self._beginning = RunBeginning(self._job)

    async def process_start(self, start: AsyncIterator[Any]) -> AsyncIterator[Any]:
        job = self._job
        if not job.works:
            return
        beginning = self._beginning
        assert beginning is not None
        try:
            await beginning.call_hook()
            if job.record.start_done:
                await beginning.repeat(start)
                return
        except T8Error as error:
            job.fail(error)
            return
        page = job.start_page
        page.enter()
        try:
            async for output in start:
                if beginning is not None:
                    beginning.reached_output()
                    beginning = None
                if isinstance(output, Request):
                    yield output
                else:
                    item = self._item_page(output, page)
                    if item is not None:
                        item.enter()
                        yield output
                page.enter()
        except T8Error as error:
            job.fail(error)
        except BaseException as error:
            if beginning is not None and beginning.is_waiting and isinstance(error, Exception):
                job.fail(beginning.failed("start", error))
                return
            if isinstance(error, Exception) or is_of_code(error):
                job.leaving.refuse()
            if is_of_code(error):  # Scrapy would wait for start() for ever
                raise RuntimeError(f"start() has ended with {error!r}") from error
            raise
        else:
            job.frontier.replay.pair(page)
            if self._keyless and job.frontier.replay.has_unclaimed_items(page):
                page.doubt(Ending(AGAIN, callback="start", note=OTHER_ITEMS))
            job.frontier.sharing.end_of_start(page)
            job.end(page)
        finally:
            if beginning is not None:
                beginning.go_on()

    def _item_page(self, item: Any, start: Page) -> Page | None:
        """Return a page for one item of ``start()``; None if an earlier run has already brought the item."""
        fingerprint = content_fingerprint(self._content(item))
        if self._job.frontier.replay.is_known_child(start, fingerprint):
            return None
        self._keyless += start.is_replay and not self._job.items.ledger.is_told_by_key(item)
        page = self._job.frontier.new_page(None, parent=start)
        page.stand_for_start_item(fingerprint)
        self._listen()
        self._items.add(page)
        return page

    def _content(self, item: Any) -> bytes:
        try:
            return self._job.codec.encode_item(item)
        except CannotStore:
            return repr(item).encode(errors="replace")

    def _listen(self) -> None:
        # Not before there is an item of start(): Scrapy makes a task for each handler of each item.
        if not self._listens:
            self._listens = True
            scrapy_private.call_around_close(self._job.crawler, self._closing, self._closed)
            self._job.crawler.signals.connect(self.spider_idle, signals.spider_idle)
            for signal in (signals.item_scraped, signals.item_dropped, signals.item_error):
                self._job.crawler.signals.connect(self.item_ended, signal)

    def _closing(self, reason: str) -> None:
        """Have the spider wait for items of ``start()`` no longer than until they have left: Scrapy would for ever."""
        self._looking = create_looping_call(scrapy_private.end_wait_for_items, self._job.crawler)
        self._looking.start(LOOK)

    def _closed(self) -> None:
        if self._looking is not None and self._looking.running:
            self._looking.stop()

    def spider_idle(self) -> None:
        """Keep the spider open while items of ``start()`` are in the pipelines. Scrapy does so since 2.18."""
        if self._items and scrapy_private.items_in_pipelines(self._job.crawler):
            raise DontCloseSpider

    def item_ended(self) -> None:
        page = current_page()
        if page in self._items:
            self._items.discard(page)
            # Not before the other handlers of this signal, the feeds among them, have had the item.
            call_later(0, self._job.end, page)
