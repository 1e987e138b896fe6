"""What the components of one crawl share: the config, the store, the frontier, the commit loop.

One :class:`Job` per crawler. Every door asks for it with :meth:`Job.of`; the checkpoint extension opens and closes it.
"""

from __future__ import annotations

import atexit
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol
from weakref import WeakKeyDictionary

from scrapy import Request
from scrapy.crawler import Crawler

from scrapy_t8.config.settings import Config, loaded
from scrapy_t8.core import scrapy_private
from scrapy_t8.core.fail_fast import StopOnError
from scrapy_t8.core.frontier.frontier import Frontier
from scrapy_t8.core.frontier.unserializable import UnserializableRequests
from scrapy_t8.core.items.checks import ItemChecks
from scrapy_t8.core.items.expectations import META as EXPECT
from scrapy_t8.core.items.expectations import Expectations
from scrapy_t8.core.items.keys import ItemKeys
from scrapy_t8.core.items.statistics import open_books
from scrapy_t8.core.items.tracker import ItemTracker
from scrapy_t8.core.page import Page, current_page
from scrapy_t8.core.resume_points import POINT, Mark, ResumePointTracker
from scrapy_t8.core.retry.policy import Policy
from scrapy_t8.core.retry.system import RetrySystem
from scrapy_t8.errors import T8Error
from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.model.codec import Codec
from scrapy_t8.model.entry import START
from scrapy_t8.model.job import Identity
from scrapy_t8.stores.sqlite.store import SQLiteStore
from scrapy_t8.utils.hashes import fingerprints_of, hashed

from .commit_loop import CommitLoop
from .crash_guard import PostCrashCommits
from .jobdir import default_directory
from .lifecycle import conclude, miss_lost_state, resume_or_begin
from .page_outputs import OutputSink, PageOutputs

if TYPE_CHECKING:
    from scrapy_t8.stores.base import IfDamaged, Store

logger = logging.getLogger(__name__)


class Keeper(Protocol):
    """Something that is kept by names, and read back with ``store.kept``."""

    def dump(self, *, force: bool) -> Mapping[str, bytes]:
        """What has changed and is worth to be kept by now; everything that has changed, with *force*."""


class Job:
    """One run of a job, for one crawler.

    :param directory: the JOBDIR; the state lives in ``t8/`` below it.
    :param arguments: the spider's arguments, or None where they cannot be told.
    :param clock: the time, in Unix seconds.
    """

    _of: ClassVar[WeakKeyDictionary[Crawler, Job]] = WeakKeyDictionary()

    @classmethod
    def of(cls, crawler: Crawler) -> Job:
        """The job of *crawler*, made on first use."""
        if crawler not in cls._of:
            cls._of[crawler] = cls(crawler, scrapy_private.spider_arguments(crawler))
        return cls._of[crawler]

    def __init__(
        self, crawler: Crawler, arguments: dict[str, Any] | None, clock: Callable[[], float] = time.time
    ) -> None:
        self.crawler = crawler
        self.clock = clock
        self.error: T8Error | None = None
        self.config = Config()
        self._arguments = arguments
        self._is_closing = False
        self.began = clock()
        self.has_frontier = False
        """Whether the scheduler of the crawl is T8's."""
        self.is_open = False
        self.works = False
        """Whether the job is open and its store fit."""
        self.closers: list[Callable[[], Awaitable[bool]]] = []
        """Called in turn before the run ends; one that returns False keeps the job from being finished."""
        self.keepers: list[Keeper] = []
        """What else goes into each commit."""
        self.reporters: list[Callable[[], Awaitable[None]]] = []
        """Called when the run has ended in the store, which is still owned. They are not to raise."""
        self.last_words: list[Callable[[], None]] = []
        """Called in their place if the interpreter ends."""

    # -- opening -------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Own the job and find out where it is.

        :raises T8Error: if it cannot be had; nothing was changed then.
        """
        crawler = self.crawler
        assert crawler.spider is not None
        scrapy_private.check()
        self.config = config = Config.from_settings(crawler.settings)
        # Before anything is owned: a mistake in the settings is to change nothing.
        policy = Policy(config.retry_rule(crawler.settings), config.retry_kinds, config.retry_after_cap)
        named = {**config.retry_handlers, **getattr(crawler.spider, "t8_retry_handlers", {})}
        handlers = {kind: loaded("T8_RETRY_HANDLERS", name) for kind, name in named.items()}
        self.checks = [loaded("T8_RETRY_CHECKS", name) for name in config.retry_checks]
        self.checks_of_items = ItemChecks.of(config.required_fields, config.item_schema)
        keys = ItemKeys(config.item_key, [*config.item_key_exclude, config.changed_field], crawler.spider)
        self._own()
        self._open_books(keys)
        self._prepare_failures(policy, handlers)
        self.works = True
        with self.guard("begin"):
            self.failures.tidy()

    def _own(self) -> None:
        """Open the store, and a run of the job in it."""
        crawler, config = self.crawler, self.config
        assert crawler.spider is not None
        self._identity = Identity.of(crawler.spider.name, self._arguments)
        self.directory = Path(crawler.settings["JOBDIR"] or default_directory(crawler.spider.name))
        self.state_directory = self.directory / "t8"
        self.store: Store = SQLiteStore(self.state_directory, power=config.durability == "power")
        damaged: dict[str, IfDamaged] = {"auto": "refuse", "continue": "salvage", "fresh": "replace"}
        miss_lost_state(self.state_directory)
        self.store.open(if_damaged=damaged[config.resume])
        self.is_open = True
        atexit.register(self._abandon)
        try:
            self.recovery = resume_or_begin(self.store, self._identity, config, self.directory, self.clock())
        except BaseException:
            self._release()
            raise
        self.record = self.recovery.job
        last = self.recovery.last_run
        self.care = PostCrashCommits(2 * config.commit_interval if last and last.reason == "died" else 0.0, self.clock)

    def _open_books(self, keys: ItemKeys) -> None:
        """The frontier and the books of items, and the commits that make their changes durable."""
        crawler, config = self.crawler, self.config
        codec = Codec(crawler.spider, allow_pickle=config.allow_pickle)
        self.points = ResumePointTracker(
            self.store, self.clock, config.update_interval, by_details=config.cursor_waits_for == "details"
        )
        self.points.open(self.record.id, ttl=config.resume_point_ttl, limit=config.max_resume_points)
        expectations = Expectations(codec, hashed)
        self.fingerprint = fingerprints_of(crawler)
        self.frontier = Frontier(
            self.store,
            codec,
            self.fingerprint,
            UnserializableRequests(crawler, refuses=config.unserializable == "error"),
            self._flush_or_raise,
            self.points,
            expectations,
            self.clock,
        )
        self.frontier.open(self.recovery)
        self.start_page = self.frontier.new_page(START)
        self.books = open_books(self.store, self.record, self.recovery.run, config, keys, expectations)
        self._outputs = PageOutputs(self.books.items)
        self.items = ItemTracker(
            crawler,
            self,
            self.books.items,
            self.frontier.new_page,
            self.state_directory,
            self.guard("write down an item"),
            keeps_books=config.enable_integrity_check or config.dedup != "off",
        )
        self._commits = CommitLoop(
            self.frontier,
            self._outputs,
            config.commit_interval,
            config.commit_pages,
            lambda: self.works,
            self.books.settle,
            self._fill,
            self.guard("commit"),
            self.clock,
        )

    def _prepare_failures(self, policy: Policy, handlers: dict[str, Any]) -> None:
        self.failures = RetrySystem(
            self.crawler,
            self.frontier,
            self.config,
            policy,
            handlers,
            self.end,
            self.flush,
            self.commit,
            self._flush_or_raise,
            self.guard("wake a request"),
            self.clock,
        )
        self.retries = self.failures.retries

    # -- what the doors need -------------------------------------------------------------------------------------

    def save(self, mark: Mark) -> None:
        """Move a resume point with the current page, or at once if there is none."""
        page = current_page()
        if page is not None:
            page.marks += (mark,)
        else:
            self.points.settle(mark)
            self.changed()

    def expect(self, announced: list[tuple[str, str, int | None]]) -> None:
        """Take note of items that are announced, with the current page, or at once if there is none."""
        page = current_page()
        if page is not None:
            page.announce(announced)
        else:
            self.books.expectations.announce(announced)
            self.changed()

    def dropped(self, request: Request) -> None:
        """*request* was seen before, and does not enter the frontier."""
        if POINT in request.meta:
            self.points.dropped(request)
        if EXPECT in request.meta:
            self.books.expectations.dropped(request)
            self.changed()

    def add_sink(self, sink: OutputSink) -> None:
        self._outputs.add_sink(sink)
        self.changed()

    def touch(self, sink: OutputSink) -> None:
        """The sink's record goes into the next commit."""
        self._outputs.touch(sink)
        self.changed()

    def stage(self, sink: OutputSink, data: bytes) -> None:
        """Keep a record for *sink* until the page that it belongs to settles."""
        page = current_page()
        if page is not None:
            page.stage(sink.name, data, self.state_directory)
            return
        page = self.frontier.new_page(None)
        page.stage(sink.name, data, self.state_directory)
        self.end(page)

    def end(self, page: Page) -> None:
        """One of the things that *page* waited for has ended; with the last of them it settles."""
        page.pending -= 1
        if page.pending or not self.works:
            return
        self._commits.add(page)
        if page.parent is not None:
            self.end(page.parent)

    # -- commits -------------------------------------------------------------------------------------------------

    def changed(self) -> None:
        """There is something to commit, within the interval."""
        if self.works:
            self._commits.changed()

    def commit(self) -> bool:
        """Make durable what has settled, unless that would take long. Returns whether everything is durable now."""
        return self.works and self._commits.commit()

    def flush(self) -> None:
        """Commit everything that has settled, before anything else happens."""
        if self.works:
            self._commits.flush()

    def settle(self) -> None:
        """Settle what has ended: the books know of it, and the next commit makes it durable."""
        self._commits.settle()

    def _flush_or_raise(self) -> None:
        """For a queue that goes on reading what was just committed: it must not do so after a failure."""
        self.flush()
        if self.error is not None:
            raise self.error

    def _fill(self, batch: CommitBatch) -> None:
        """Add to a commit what the frontier does not know of."""
        self.books.fill(batch)
        batch.hosts = self.failures.breaker.dump()
        for keeper in self.keepers:
            batch.kept.update(keeper.dump(force=self._is_closing))

    def guard(self, what: str) -> StopOnError:
        """A context: whatever goes wrong inside stops the crawl."""
        return StopOnError(self.fail, what)

    # -- ends ----------------------------------------------------------------------------------------------------

    def fail(self, error: T8Error) -> None:
        """The store, or a feed, is not fit any more: stop the crawl. The last commit is the state, as after a kill."""
        if self.error is not None:
            return
        self.error = error
        self.works = False
        logger.critical("%s", error)
        self.stop(error.reason)

    def stop(self, reason: str) -> None:
        """Ask the engine to close the spider, from wherever we are."""
        scrapy_private.close_spider(self.crawler, reason)

    async def close(self, reason: str) -> None:
        """Finish the feeds, balance the books, end the run and give the job up."""
        if not self.is_open:
            return
        self.failures.close()
        self._is_closing = True
        self.points.record_all()
        complete = True
        for closer in self.closers:
            with self.guard("finish"):
                complete = await closer() and complete
        self.flush()
        if self.error is None:
            with self.guard("finish"):
                self._finish(reason, complete)
        self._end_run(self.error.reason if self.error else reason)
        # From here on a second Ctrl-C cuts short nothing but reports and notifications.
        atexit.unregister(self._abandon)
        for report in self.reporters:
            await report()
        self._release()

    def _finish(self, reason: str, complete: bool) -> None:
        self.crawler.stats.set_value("t8/longest_commit_seconds", round(self._commits.longest, 4))
        self.retries.sum_up()
        conclude(self.record, len(self.frontier), reason, is_complete=complete)

    def _end_run(self, reason: str) -> None:
        try:
            # An end that we saw is nobody's crash: the marks go.
            # After an error the books in memory are ahead of the last commit.
            self.store.end_run(self.clock(), reason, self.record if self.error is None else None)
        except T8Error as error:
            logger.critical("%s", error)

    def _release(self) -> None:
        self.is_open = self.works = False
        atexit.unregister(self._abandon)
        self.store.close()
        self._of.pop(self.crawler, None)

    def _abandon(self) -> None:
        """The interpreter ends with the job open, as after a second Ctrl-C: keep what has settled."""
        self.flush()
        if self.is_open:
            self._end_run("forced")
            for report in self.last_words:
                report()
            self._release()
