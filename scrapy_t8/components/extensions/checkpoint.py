"""The extension that opens the job before anything else happens, and closes the job after everything."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from scrapy import signals
from scrapy.commands import BaseRunSpiderCommand
from scrapy.crawler import Crawler
from scrapy.exceptions import DontCloseSpider

from scrapy_t8.core import scrapy_private
from scrapy_t8.core.job.job import Job
from scrapy_t8.core.job.opening import open_job
from scrapy_t8.core.page import leave_page
from scrapy_t8.utils import gc_freeze
from scrapy_t8.utils.log.loggers import get_logger
from scrapy_t8.utils.log.tracebacks import in_one_line
from scrapy_t8.utils.text import counted
from scrapy_t8.utils.times import local_time

logger = get_logger(__name__)

INCOMPLETE = 3
"""The exit status of a crawl that is not proven to be complete."""


class T8Checkpoint:
    """Owns the job from the start of the crawler to the end of the spider.

    :raises T8Error: from ``from_crawler``, if the job cannot be opened. The crawl does not begin then, the exit status
        is 1, and one line in the log says why.
    """

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> T8Checkpoint:
        with in_one_line(logger):
            job = open_job(crawler)
        logger.debug("The state in %s is open", job.state_directory)
        # From here on, only a report with the verdict complete makes it 0.
        assert crawler.stats is not None
        crawler.stats.set_value("t8/exit_status", INCOMPLETE)
        if job.config.exit_status:
            scrapy_private.set_exit_status(crawler, INCOMPLETE)
        checkpoint = cls(job, _crawl_again(crawler))
        crawler.signals.connect(checkpoint.spider_opened, signals.spider_opened)
        crawler.signals.connect(checkpoint.spider_idle, signals.spider_idle)
        crawler.signals.connect(checkpoint.spider_closed, signals.spider_closed)
        return checkpoint

    def __init__(self, job: Job, crawl_again: Callable[[], object] | None) -> None:
        self._job = job
        self._crawl_again = crawl_again
        self._has_frozen = False

    def spider_opened(self) -> None:
        # All components are made by now.
        if self._job.config.gc_freeze:
            gc_freeze.freeze()
            self._has_frozen = True
        if not self._job.has_frontier:
            logger.warning(
                "The scheduler is not T8's: resume points are kept, but requests in flight at a kill are lost"
            )
            self._job.watch_resume_points()
        self._doubt_feeds()
        found = self._job.recovery
        self._job.await_pipelines(scrapy_private.item_pipelines(self._job.crawler))
        if self._job.buried:
            requests = counted(self._job.buried, "request was given up", "requests were given up")
            logger.error("%s: the process died even when each ran alone", requests)
        if self._job.revived:
            requests = counted(self._job.revived, "request that was given up is", "requests that were given up are")
            logger.info("The spider's code has changed: %s tried again", requests)
        if found.last_run is None:
            return
        logger.info(
            "Resuming %s in %s: run %d ended %s (%s). %s%s%s",
            found.job.id,
            self._job.directory,
            found.last_run.id,
            local_time(found.last_run.ended),
            found.last_run.reason,
            counted(len(self._job.frontier), "request to do", "requests to do"),
            f", {found.recovered:,} of them in flight when it ended" if found.recovered else "",
            f", {found.job.ledger.dead:,} given up" if found.job.ledger.dead else "",
        )
        if self._job.leaving.only_finishes():
            self._finish_and_begin_anew()

    def _finish_and_begin_anew(self) -> None:
        """Have the command crawl again when this run has finished the job, unless the command is only a restart."""
        job = self._job
        if self._crawl_again is None or job.leaving.is_restart(job.clock()):
            logger.info("Nothing is left to do: this run only finishes the job. The next run begins a new job")
        else:
            logger.info("Nothing is left to do: this run finishes the job, and begins a new job then")
            scrapy_private.call_around_close(job.crawler, lambda reason: None, self._begin_anew)

    def _begin_anew(self) -> None:
        """Begin a crawl of its own for the new job. The feeds and the report of the old job are written."""
        crawl_again, self._crawl_again = self._crawl_again, None
        if crawl_again is not None and self._job.record.finished and self._job.error is None:
            leave_page()
            crawl_again()

    def _doubt_feeds(self) -> None:
        """Prove nothing about a job whose feeds are not written by T8's exporter."""
        if self._job.crawler.settings.getdict("FEEDS") and not self._job.finalizers:
            self._job.record.doubt = "T8FeedExporter has not written the feeds of a run: what is in them is not known"
            logger.warning("%s, so the crawl will not be complete", self._job.record.doubt)

    def spider_idle(self) -> None:
        """Keep the spider open for retries that are due soon, and leave later ones to the next run."""
        with self._job.guard("wait"):
            if self._job.frontier.replay.pair_all():
                scrapy_private.schedule_next_call(self._job.crawler)
                raise DontCloseSpider
            self._job.idle()

    async def spider_closed(self, reason: str) -> None:
        await self._job.close(reason)
        if self._has_frozen:
            self._has_frozen = False
            gc_freeze.thaw()


def _crawl_again(crawler: Crawler) -> Callable[[], object] | None:
    """Return a function that has the command crawl the spider of *crawler* once more; None without such a command."""
    command = scrapy_private.running_command()
    if not isinstance(command, BaseRunSpiderCommand) or command.crawler_process is None:
        return None
    arguments = scrapy_private.spider_arguments(crawler) or {}
    return partial(command.crawler_process.crawl, crawler.spidercls, **arguments)
