"""The commit loop: commits what has settled, at the latest after one interval."""

from __future__ import annotations

import time
from typing import Protocol

from scrapy.utils.asyncio import CallLaterResult, call_later

from scrapy_t8.core import scrapy_private
from scrapy_t8.core.page import Page
from scrapy_t8.core.run import CommitParticipant, RunContext, RunControl
from scrapy_t8.errors import T8Error
from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.utils.log.loggers import get_logger

from .page_outputs import SLICE, OutputSink, PageOutputs

logger = get_logger(__name__)

HOOK = "t8_commit"
"""The method of an item pipeline that makes durable what the pipeline has taken so far."""
PENDING = 1000
"""Changes after which a commit does not wait for its interval."""


class PageHolder(Protocol):
    """Something outside of T8 that has to be durable before a page is done."""

    def holds(self, page: Page) -> bool:
        """Whether *page*, which has ended, waits. The holder passes the page to :meth:`CommitLoop.ended` later."""


class CommitLoop(RunControl):
    """Commits what has settled, and ends the run when a commit fails. ``RunControl`` says what its methods do.

    :param outputs: the staged outputs of pages.
    """

    def __init__(self, context: RunContext, outputs: PageOutputs) -> None:
        self._crawler = context.crawler
        self._store = context.store
        self._record = context.record
        self._clock = context.clock
        self._interval = context.config.commit_interval
        self._pages = context.config.commit_pages
        self._outputs = outputs
        self._participants: list[CommitParticipant] = []
        self._guard = self.guard("commit")
        self._timer: CallLaterResult | None = None
        self._postponed_at: float | None = None
        self._holder: PageHolder | None = None
        self._is_running = False
        self._pending = 0
        self.error: T8Error | None = None
        self.longest = 0.0
        """Maximum seconds for which one commit has blocked the event loop."""

    # -- the run -------------------------------------------------------------------------------------------------

    @property
    def works(self) -> bool:
        return self._is_running

    def begin(self, *participants: CommitParticipant) -> None:
        """Begin to commit the changes of *participants*."""
        self._participants.extend(participants)
        self._is_running = True

    def stop(self) -> None:
        """Stop committing."""
        self._is_running = False

    def fail(self, error: T8Error) -> None:
        if self.error is None:
            self.error = error
            self._is_running = False
            logger.critical("%s", error)
            scrapy_private.close_spider(self._crawler, error.reason)

    # -- what changes --------------------------------------------------------------------------------------------

    def end(self, page: Page) -> None:
        if page.release() and self._is_running and not (self._holder and self._holder.holds(page)):
            self.ended(page)

    def hold_with(self, holder: PageHolder) -> None:
        """Ask *holder* of each page that has ended whether the page waits for more."""
        self._holder = holder

    def ended(self, page: Page) -> None:
        """Settle *page* with the next commit: the page waits for nothing any more."""
        if not self._is_running:
            return
        self._outputs.add(page)
        self.changed()
        if len(self._outputs) >= self._pages and self._store.is_ready():
            self.commit()
        if page.parent is not None:
            self.end(page.parent)

    def changed(self) -> None:
        if not self._is_running:
            return
        if self._timer is None:
            self._timer = call_later(self._interval, self.commit)
        self._pending += 1
        if self._pending >= PENDING and self._store.is_ready():
            self.commit()

    def add_sink(self, sink: OutputSink) -> None:
        """Write staged records to *sink* from now on."""
        self._outputs.add_sink(sink)
        self.changed()

    def touch(self, sink: OutputSink) -> None:
        """Put the sink's record into the next commit."""
        self._outputs.touch(sink)
        self.changed()

    # -- commits -------------------------------------------------------------------------------------------------

    def commit(self) -> bool:
        # Large staged outputs are written in slices first, over several turns of the event loop.
        return self._commit(SLICE)

    def flush(self) -> None:
        self._commit(None)

    def settle_ended(self) -> None:
        """Settle the pages that have ended, without a commit, because the next step depends on them."""
        if self._is_running:
            with self._guard:
                self._drain(None)

    def _commit(self, limit: int | None) -> bool:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._is_running:
            return False
        if limit is not None and not self._store.is_ready() and not self._is_overdue():
            self.changed()
            return False
        self._postponed_at = None
        began = time.perf_counter()
        with self._guard:
            if not self._drain(limit):
                self._timer = call_later(0, self.commit)
                return False
            batch = CommitBatch(feeds=self._outputs.flush())
            for participant in self._participants:
                participant.fill(batch)
            self._store.commit(batch, self._record, self._clock())
            self._pending = 0
            for participant in self._participants:
                participant.committed()
            self._outputs.committed()
        self.longest = max(self.longest, time.perf_counter() - began)
        return self._is_running

    def _is_overdue(self) -> bool:
        """Whether a postponed commit has waited longer than one interval."""
        if self._postponed_at is None:
            self._postponed_at = self._clock()
        return self._clock() > self._postponed_at + self._interval

    def _drain(self, limit: int | None) -> bool:
        """Write the outputs of ended pages. Return False if a page is cut: nothing may be committed then."""
        for page in self._outputs.drain(limit):
            page.settle()
            for participant in self._participants:
                participant.settle(page)
        return not self._outputs.is_cut
