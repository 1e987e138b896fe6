"""The commit loop: what has settled becomes durable, at the latest after an interval."""

from __future__ import annotations

import time
from collections.abc import Callable

from scrapy.utils.asyncio import CallLaterResult, call_later

from scrapy_t8.core.fail_fast import StopOnError
from scrapy_t8.core.frontier.frontier import Frontier
from scrapy_t8.core.page import Page
from scrapy_t8.model.batch import CommitBatch

from .page_outputs import SLICE, PageOutputs

PENDING = 1000
"""Changes after which a commit does not wait for its interval."""


class CommitLoop:
    """Commits of one run.

    :param interval: seconds between a change and its commit, at the most.
    :param pages: settled pages in one commit, at the most.
    :param works: whether the job is open and its store fit.
    :param settled: told of each page whose outputs are written.
    :param fill: adds to a batch what the frontier does not know of.
    :param guard: a context that stops the crawl when anything goes wrong inside.
    """

    def __init__(
        self,
        frontier: Frontier,
        outputs: PageOutputs,
        interval: float,
        pages: int,
        works: Callable[[], bool],
        settled: Callable[[Page], None],
        fill: Callable[[CommitBatch], None],
        guard: StopOnError,
        clock: Callable[[], float],
    ) -> None:
        self._frontier = frontier
        self._outputs = outputs
        self._interval = interval
        self._pages = pages
        self._works = works
        self._settled = settled
        self._fill = fill
        self._guard = guard
        self._clock = clock
        self._timer: CallLaterResult | None = None
        self._postponed_at: float | None = None
        self.longest = 0.0
        """Seconds that one commit has held up the event loop, at the most."""

    def add(self, page: Page) -> None:
        """*page* has ended: it settles with the next commit."""
        self._outputs.add(page)
        self.changed()
        if len(self._outputs) >= self._pages and self._frontier.store.is_ready():
            self.commit()

    def changed(self) -> None:
        """There is something to commit, within the interval."""
        if not self._works():
            return
        if self._timer is None:
            self._timer = call_later(self._interval, self.commit)
        if self._frontier.pending >= PENDING and self._frontier.store.is_ready():
            self.commit()

    def commit(self) -> bool:
        """Make durable what has settled. Large staged outputs are written in slices first, over several turns.

        :returns: whether everything is durable now.
        """
        return self._commit(SLICE)

    def flush(self) -> bool:
        """Commit everything that has settled, before anything else happens."""
        return self._commit(None)

    def settle(self) -> None:
        """Settle what has ended, without a commit: what comes next is to know of it."""
        if self._works():
            with self._guard:
                self._drain(None)

    def _commit(self, limit: int | None) -> bool:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._works():
            return False
        if limit is not None and not self._frontier.store.is_ready() and not self._is_overdue():
            self.changed()
            return False
        self._postponed_at = None
        began = time.perf_counter()
        with self._guard:
            if not self._drain(limit):
                self._timer = call_later(0, self.commit)
                return False
            feeds = self._outputs.flush()
            batch = self._frontier.batch()
            batch.feeds = feeds
            self._fill(batch)
            self._frontier.store.commit(batch, self._frontier.record, self._clock())
            self._frontier.committed()
            self._outputs.committed()
        self.longest = max(self.longest, time.perf_counter() - began)
        return self._works()

    def _is_overdue(self) -> bool:
        """Whether a commit has waited so long for the store that it had better wait no more: a kill would cost much."""
        if self._postponed_at is None:
            self._postponed_at = self._clock()
        return self._clock() > self._postponed_at + self._interval

    def _drain(self, limit: int | None) -> bool:
        """Write the outputs of ended pages. False if one is written in part only: then nothing may be committed."""
        for page in self._outputs.drain(limit):
            self._frontier.settle(page)
            self._settled(page)
        return not self._outputs.is_cut
