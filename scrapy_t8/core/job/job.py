"""The job of one crawl, as the components of the crawl see it."""

from __future__ import annotations

import atexit
import math
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured

from scrapy_t8.core import scrapy_private
from scrapy_t8.core.frontier.frontier import Frontier
from scrapy_t8.core.items.expectations import META as EXPECT
from scrapy_t8.core.items.tracker import ItemTracker
from scrapy_t8.core.page import Page, current_page, current_request
from scrapy_t8.core.resume_points import POINT, Mark
from scrapy_t8.core.retry.failure import OUTAGE, Failure
from scrapy_t8.core.retry.host_gate import HostGatedQueue
from scrapy_t8.core.retry.system import RetrySystem
from scrapy_t8.core.run import CommitParticipant, PersistedComponent, RunContext
from scrapy_t8.errors import T8Error
from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.model.entry import START
from scrapy_t8.utils.log.loggers import get_logger

from .commit_loop import HOOK, CommitLoop
from .engine_watch import EngineWatch, ResumePointWatch
from .ignored import ending_of_rejected
from .leaving import Leaving
from .lifecycle import conclude, finish_run
from .page_outputs import OutputSink

if TYPE_CHECKING:
    from .pipeline_commits import PipelineCommits

logger = get_logger(__name__)

_open: dict[Crawler, Job] = {}
"""The open jobs of this process. A job that has ended is removed, so that its crawler is not kept."""


class Job(CommitParticipant):
    """One run of a job, for one crawler. Made by :func:`~scrapy_t8.core.job.opening.open_job`.

    :param commits: settles pages and commits.
    :param frontier: the requests.
    :param items: the items.
    :param retries: the failures.
    """

    def __init__(
        self, context: RunContext, commits: CommitLoop, frontier: Frontier, *, items: ItemTracker, retries: RetrySystem
    ) -> None:
        self.context = context
        self.crawler = context.crawler
        self.config = context.config
        self.clock = context.clock
        self.store = context.store
        self.record = context.record
        self.recovery = context.recovery
        self.codec = context.codec
        self.fingerprint = context.fingerprint
        self.directory = context.directory
        self.state_directory = context.state_directory
        self.began = context.clock()
        self.frontier = frontier
        self.points = frontier.points
        self.expectations = frontier.expectations
        self.items = items
        self.retries = retries
        self.leaving = Leaving(context, commits, frontier, retries=retries)
        self.start_page = frontier.new_page(START)
        self.has_frontier = False
        """Whether the scheduler of the crawl is T8's."""
        self.buried = self.revived = 0
        """Requests that were buried and dead letters that were revived when the run began."""
        self._commits = commits
        # What ends, changes and commits in a run is the business of the commit loop.
        self.guard, self.fail, self.end = commits.guard, commits.fail, commits.end
        self.add_sink, self.touch, self.changed = commits.add_sink, commits.touch, commits.changed
        self.commit, self.flush, self.settle_ended = commits.commit, commits.flush, commits.settle_ended
        self._pipelines: PipelineCommits | None = None
        self._is_open = True
        self.is_held = False
        self._holds: set[str] = set()
        self._is_closing = self._is_complete = False
        self._components: list[PersistedComponent] = []
        self.finalizers: list[Callable[[], Awaitable[bool]]] = []
        self._after_run: list[Callable[[], Awaitable[None]]] = []
        self._at_exit: list[Callable[[], None]] = []
        last = context.recovery.last_run
        self._commits_leases_until = math.inf if last is not None and last.reason == "died" else 0.0
        _open[self.crawler] = self
        atexit.register(self._abandon)

    @classmethod
    def of(cls, crawler: Crawler) -> Job | None:
        """Return the open job of *crawler*, if there is one."""
        return _open.get(crawler)

    @classmethod
    def required(cls, crawler: Crawler) -> Job:
        """Return the open job of *crawler*.

        :raises NotConfigured: if there is none, which switches a component off.
        """
        job = _open.get(crawler)
        if job is None:
            raise NotConfigured("there is no T8 job: add scrapy_t8.T8Checkpoint to EXTENSIONS")
        return job

    # -- the run -------------------------------------------------------------------------------------------------

    @property
    def works(self) -> bool:
        """Whether the job is open, and no error has ended the run."""
        return self._commits.works

    @property
    def error(self) -> T8Error | None:
        """The error that has ended the run, if one has."""
        return self._commits.error

    def begin(self) -> None:
        """Begin the run: bury pages that crash the process, prune and revive dead letters.

        :raises T8Error: if that fails. The job is closed then.
        """
        with self.guard("begin"):
            self.buried, self.revived = self.retries.on_start()
        if self.error is not None:
            self._end_run(self.error.reason)
            self._release()
            raise self.error

    def hold_requests(self, is_held: bool, reason: str = "") -> None:
        """Send no request while *is_held*: the run needs something first. There may be several reasons at a time."""
        (self._holds.add if is_held else self._holds.discard)(reason)
        self.is_held = bool(self._holds)

    def wants_probe(self) -> bool:
        """Whether one request may go although requests are held back: only its page can end an outage of pipelines."""
        return self._holds == {OUTAGE} and self.retries.pipelines.wants_probe()

    def await_pipelines(self, pipelines: Sequence[object]) -> None:
        """Settle pages only when those of the *pipelines* that have ``t8_commit()`` have committed their items."""
        hooks = [pipeline for pipeline in pipelines if callable(getattr(pipeline, HOOK, None))]
        if hooks:
            from .pipeline_commits import PipelineCommits

            hold = partial(self.hold_requests, reason=HOOK)
            self._pipelines = PipelineCommits(
                self.context, self._commits, self.frontier, retries=self.retries, pipelines=hooks, hold=hold
            )

    def idle(self) -> None:
        """Decide what an idle spider does: see :meth:`PipelineCommits.idle` and :meth:`RetrySystem.idle`."""
        if self._pipelines is not None:
            self._pipelines.idle()
        self.retries.idle()

    # -- requests ------------------------------------------------------------------------------------------------

    def use_frontier(self, queue: Any, *, has_seen_set: bool) -> HostGatedQueue:
        """Use *queue* for the requests of T8's scheduler, and watch the engine.

        :returns: the queue, which holds back the requests of hosts that are down or paused.
        """
        if not has_seen_set:
            self.frontier.leave_filtering_to_project()
        self.has_frontier = True
        self.retries.pipelines.hold_with(partial(self.hold_requests, reason=OUTAGE), self.retries.timer.wake_at)
        EngineWatch(self.context, self._commits, self.frontier, retries=self.retries, items=self.items)
        self.leaving.watch()
        return self.retries.gate(queue)

    def watch_resume_points(self) -> None:
        """Move resume points under a scheduler that is not T8's."""
        ResumePointWatch(self.context, self._commits, self.frontier)

    def intercept(self, request: Request, page: Page | None) -> bool:
        """Whether *request* needs no place in a queue: a replayed page may have yielded it, or it is due later."""
        if page is None:
            return False
        if self.frontier.is_known_child(page, request):
            return True
        due = self.retries.take_due(request)
        if due is not None:
            self.retries.schedule(request, page, due, in_memory=not page.is_handing_over)
            return True
        if not page.is_handing_over:
            if page.positions:
                self.points.pass_on(page, request)
            if page.expectations:
                self.expectations.pass_on(page, request)
        return False

    def rejected(self, request: Request, page: Page | None) -> None:
        """Record that *request* was seen before, and does not enter the frontier."""
        if page is not None and page.is_handing_over:
            page.discard(ending_of_rejected(request, current_request(), self.fingerprint))
            return
        if POINT in request.meta:
            self.points.dropped(request)
        if EXPECT in request.meta:
            self.expectations.dropped(request)
            self.changed()

    def prepare_lease(self) -> None:
        """Commit first for a short time after a crash, from the first lease on.

        A page that kills the process before anything was committed would leave nothing to charge with the crash.
        """
        if self._commits_leases_until and self.clock() < self._commits_leases_until:
            self.flush()

    def leased(self) -> None:
        """Note that a request has been leased."""
        if self._commits_leases_until == math.inf:
            self._commits_leases_until = self.clock() + 2 * self.config.commit_interval

    def record_item_failure(self, failure: Failure) -> None:
        """Record that the request whose output is being produced here has failed because of an item."""
        request = current_request()
        if request is not None:
            self.retries.record_failure(request, failure)

    # -- what pages bring about ----------------------------------------------------------------------------------

    def save_point(self, mark: Mark) -> None:
        """Move a resume point with the current page, or at once if there is none."""
        page = current_page()
        if page is not None:
            page.carry((mark,))
        else:
            self.points.pass_position(mark)
            self.changed()

    def expect(self, announced: list[tuple[str, str, int | None]]) -> None:
        """Announce items with the current page, or at once if there is none: source, key and total of each."""
        page = current_page()
        if page is not None:
            page.announce(announced)
        else:
            self.expectations.announce(announced)
            self.changed()

    def stage(self, sink: OutputSink, data: bytes) -> None:
        """Keep a record for *sink* until its page settles."""
        page = current_page()
        if page is not None:
            page.stage(sink.name, data, self.state_directory)
            return
        page = Page(None)
        page.stage(sink.name, data, self.state_directory)
        self.end(page)

    def persist(self, component: PersistedComponent) -> None:
        """Put the component's changes into each commit."""
        self._components.append(component)

    def fill(self, batch: CommitBatch) -> None:
        """Put the changes of persisted components into *batch*."""
        for component in self._components:
            batch.kept.update(component.dump(force=self._is_closing))

    # -- the end -------------------------------------------------------------------------------------------------

    def at_close(self, finalizer: Callable[[], Awaitable[bool]]) -> None:
        """Call *finalizer* when the last item has left the pipelines. If it returns False, the job is not finished."""
        self.finalizers.append(finalizer)

    def after_run(self, report: Callable[[], Awaitable[None]], *, at_exit: Callable[[], None]) -> None:
        """Call *report* when the run has ended in the store, or *at_exit* if the interpreter ends. None may raise."""
        self._after_run.append(report)
        self._at_exit.append(at_exit)

    async def finish_feeds(self, reason: str) -> None:
        """Finish the feeds, once all items have left the pipelines. Do nothing if that is done."""
        if not self._is_open or self._is_closing:
            return
        self.retries.close()
        self._is_closing = True
        self.leaving.give_up(reason)
        self.points.record_all()
        is_complete = True
        for finalizer in self.finalizers:
            with self.guard("finish"):
                is_complete = await finalizer() and is_complete
        self._is_complete = is_complete

    async def close(self, reason: str) -> None:
        """Finish the feeds, balance the ledger, end the run and close the job."""
        if not self._is_open:
            return
        await self.finish_feeds(reason)
        self.flush()
        if self.error is None:
            with self.guard("finish"):
                self._finish(reason, is_complete=self._is_complete)
        self._end_run(self.error.reason if self.error else reason)
        # From here on, a second Ctrl-C interrupts only reports and notifications.
        atexit.unregister(self._abandon)
        for report in self._after_run:
            await report()
        if self.error is None and self.record.finished:
            conclude(self.store, self.record)
        self._release()

    def _finish(self, reason: str, *, is_complete: bool) -> None:
        assert self.crawler.stats is not None
        self.crawler.stats.set_value("t8/longest_commit_seconds", round(self._commits.longest, 4))
        self.retries.decisions.write_stats()
        untried, now = self.leaving.untried(reason), self.leaving.done_at(self.clock())
        finish_run(self.record, len(self.frontier), reason, is_complete=is_complete, now=now, untried=untried)

    def _end_run(self, reason: str) -> None:
        try:
            # This end is not a crash: the marks of entries in flight are deleted.
            # After an error the ledger in memory is ahead of the last commit.
            record, cause = None if self.error else self.record, self.leaving.cause(reason)
            self.store.end_run(self.clock(), reason, record, leave=cause)
        except T8Error as error:
            logger.critical("%s", error)

    def _release(self) -> None:
        self._is_open = False
        self._commits.stop()
        atexit.unregister(self._abandon)
        self.store.close()
        _open.pop(self.crawler, None)

    def _abandon(self) -> None:
        """Commit what has settled: the interpreter ends with the job open, as after a second Ctrl-C."""
        self.flush()
        if self._is_open:
            self._end_run("forced")
            for report in self._at_exit:
                report()
            self._release()

    def give_back_in_flight(self) -> int:
        """Return the requests in flight to the frontier. Return how many there are."""
        count = len(self.frontier.in_flight)
        scrapy_private.release_in_flight(self.crawler)
        return count
