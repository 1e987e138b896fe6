"""When a job is over though something is left: T8_DONE_REASONS; or since an earlier run, which could not finish it."""

from __future__ import annotations

from scrapy import Request, Spider

from scrapy_t8.config.causes import LEFT
from scrapy_t8.config.parsing import checked_reasons
from scrapy_t8.config.settings import Config
from scrapy_t8.core import scrapy_private
from scrapy_t8.core.frontier.frontier import Frontier
from scrapy_t8.core.retry.system import RetrySystem
from scrapy_t8.core.run import RunContext, RunControl
from scrapy_t8.model.entry import Ending
from scrapy_t8.utils.log.loggers import get_logger
from scrapy_t8.utils.text import counted

logger = get_logger(__name__)

ATTRIBUTE = "t8_done_reasons"
RESTART = 600.0
"""Seconds within which the same command is the restart of a run that has died, not the next crawl."""


def done_reasons(config: Config, spider: Spider) -> frozenset[str]:
    """Return the close reasons with which the job of *spider* has finished: of the setting, and of the spider.

    :raises ConfigError: if the attribute of the spider is not a list of close reasons.
    """
    own = checked_reasons(f"{type(spider).__qualname__}.{ATTRIBUTE}", getattr(spider, ATTRIBUTE, ()))
    return own.union(config.done_reasons)


class Leaving:
    """What a spider that closes itself leaves behind, and what an earlier run has left to be finished.

    Requests that were never tried are left on purpose, and are counted. What was tried is not left: requests that wait
    for a retry stay in the frontier, and the job does not finish while a request is in flight.
    """

    def __init__(self, context: RunContext, control: RunControl, frontier: Frontier, *, retries: RetrySystem) -> None:
        self._crawler = context.crawler
        self._record = context.record
        self._control = control
        self._frontier = frontier
        self._retries = retries
        self._reasons = context.done_reasons
        self._reason = ""
        """The close reason of this run; empty until the engine closes the spider."""
        self._is_refused = False
        self._recovery = context.recovery
        self._restart = max(RESTART, context.config.skip_finished)
        self._done_with: int | None = None
        """The number of admitted requests, if an earlier run has done all work of the job."""

    def watch(self) -> None:
        """Watch the engine for close reasons."""
        scrapy_private.call_on_close_spider(self._crawler, self.raised)
        if self._reasons:
            scrapy_private.call_around_close(self._crawler, self.closing)

    def closing(self, reason: str) -> None:
        """Record the close reason. The first one counts."""
        self._reason = self._reason or reason

    def raised(self, request: Request, reason: str) -> None:
        """Record that the callback of *request* closes the spider. The page is done if that finishes the job."""
        self._retries.closes_spider(request, is_done={reason, self._reason or reason} <= self._reasons)

    def refuse(self) -> None:
        """Let no close reason finish the job: ``start()`` has failed in this run."""
        self._is_refused = True

    def give_up(self, reason: str) -> None:
        """End the requests that only this run could bring to an end, if the run ends the job."""
        is_done = self._ends_job(reason) and not self._frontier.in_flight
        for page in self._frontier.set_aside.give_up() if is_done or reason == "finished" else ():
            self._control.end(page)
        if not is_done:
            return
        self._frontier.replay.pair_all()
        for request, page in self._frontier.registry.take_from_memory():
            page.end_in_memory(Ending(self.cause(reason), request.url))
            self._record.leave(1, reason)
            self._control.end(page)

    def untried(self, reason: str) -> int | None:
        """Return how many requests were never tried, if *reason* ends the job; None if the job goes on."""
        if not self._ends_job(reason):
            return None
        if self._frontier.leased:
            requests = counted(len(self._frontier.leased), "request has", "requests have")
            message = "%s not ended, so the close reason %r does not end the job: the next run goes on"
            logger.warning(message, requests, reason)
            return None
        return self._frontier.store.count_untried()

    def cause(self, reason: str) -> str:
        """Return the cause for which requests are left with *reason*; empty if the reason does not end the job."""
        return f"{LEFT}:{reason}" if self._ends_job(reason) else ""

    # -- a job that is only to be finished -----------------------------------------------------------------------

    def only_finishes(self) -> bool:
        """Whether nothing is left to do: an earlier run has done all work, and died before it could finish the job."""
        record = self._record
        is_closed = bool(record.ended) and not record.unreported
        if self._recovery.last_run is None or not record.start_done or is_closed or len(self._frontier):
            return False
        self._done_with = record.ledger.admitted
        return True

    def done_at(self, now: float) -> float:
        """Return when the work of the job was done, in Unix seconds: *now*, or when the last run ended."""
        last = self._recovery.last_run
        is_earlier = last is not None and last.ended is not None and self._done_with == self._record.ledger.admitted
        return last.ended if is_earlier else now  # type: ignore[union-attr,return-value]

    def is_restart(self, now: float) -> bool:
        """Whether a run that only finishes the job is a restart of the run that has died, and not the next crawl."""
        return now < self.done_at(now) + self._restart

    def _ends_job(self, reason: str) -> bool:
        return reason in self._reasons and not self._is_refused
