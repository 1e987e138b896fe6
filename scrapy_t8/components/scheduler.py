"""Scrapy's scheduler, with queues and a duplicate filter that live in the job's store."""

from __future__ import annotations

from typing import Any

from scrapy import Request, Spider
from scrapy.core.scheduler import Scheduler
from scrapy.crawler import Crawler
from scrapy.pqueues import DownloaderAwarePriorityQueue
from scrapy.utils.defer import deferred_from_coro, ensure_awaitable
from scrapy.utils.misc import build_from_crawler, load_object

from scrapy_t8.core import scrapy_private
from scrapy_t8.core.frontier.set_aside import Aside
from scrapy_t8.core.job.job import Job
from scrapy_t8.core.job.refused import RefusedRequests
from scrapy_t8.core.page import Page, current_page, inside, leave_page
from scrapy_t8.errors import ConfigError
from scrapy_t8.model.entry import QueueRecord
from scrapy_t8.utils.log.loggers import get_logger
from scrapy_t8.utils.text import counted

from .dupefilter import adopt
from .queues import queue_class

logger = get_logger(__name__)


class T8Scheduler(Scheduler):
    """Scrapy's scheduler: its priority queues, its order, its statistics. No request is lost with the process.

    The order, LIFO or FIFO, is that of SCHEDULER_DISK_QUEUE or SCHEDULER_MEMORY_QUEUE, whichever the
    project has set.
    """

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> T8Scheduler:
        settings = crawler.settings
        if Job.of(crawler) is None:
            raise ConfigError("T8Scheduler needs the extension scrapy_t8.T8Checkpoint: add it to EXTENSIONS")
        return cls(
            dupefilter=build_from_crawler(load_object(settings["DUPEFILTER_CLASS"]), crawler),
            dqclass=queue_class(settings, "SCHEDULER"),
            mqclass=load_object(settings["SCHEDULER_MEMORY_QUEUE"]),
            stats=crawler.stats,
            pqclass=load_object(settings["SCHEDULER_PRIORITY_QUEUE"]),
            crawler=crawler,
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        assert self.crawler is not None
        self._job = Job.required(self.crawler)
        self._alone: Page | None = None
        self._refused: RefusedRequests | None = None
        self._start_class = queue_class(self.crawler.settings, "SCHEDULER_START")
        self._keeping = self._job.guard("keep a request")
        self._taking = self._job.guard("take a request")

    def open(self, spider: Spider) -> Any:
        opened = super().open(spider)
        self._refused = RefusedRequests.watch(self._job)
        has_seen_set = adopt(self.df, self._job.frontier, self._job.crawler.request_fingerprinter)
        self._job.frontier.replay.begin(self._enqueue_late)
        self._gate = self._job.use_frontier(self._durable_queue(), has_seen_set=has_seen_set)
        self.dqs = self._gate  # type: ignore[assignment]
        self._rehome()
        return opened

    def close(self, reason: str) -> Any:
        """Finish the feeds: what Scrapy calls next, such as ``closed()`` of the spider, finds them whole."""
        self._job.commit()
        return deferred_from_coro(self._close(reason))

    async def _close(self, reason: str) -> None:
        await self._job.finish_feeds(reason)
        await ensure_awaitable(self.df.close(reason))

    def has_pending_requests(self) -> bool:
        if not self._job.works:
            return False
        return bool(self._job.frontier.suspects) or super().has_pending_requests()

    def enqueue_request(self, request: Request) -> bool:
        """Admit *request*, unless it was seen before. It is durable with the next commit, or with its page."""
        if not self._job.works:
            return False
        if self._refused is not None:
            self._refused.reached(request)
        # An exception would only vanish in a log line of the parallel consumer, with the request.
        with self._keeping:
            page, set_aside = current_page(), self._job.frontier.set_aside
            if set_aside:
                aside = set_aside.take_mark(request)
                if aside is None and page is not None and self._job.frontier.is_known_child(page, request):
                    return True
                aside = aside or set_aside.find(request)
                if aside is not None and self._enqueue_again(request, aside):
                    return True
            return self._enqueue(request, page)
        return False

    def _enqueue(self, request: Request, page: Page | None) -> bool:
        if self._job.intercept(request, page):
            return True
        accepted = super().enqueue_request(request)
        if accepted:
            self._job.changed()
        else:
            self._job.rejected(request, page)
        return accepted

    def _enqueue_late(self, request: Request) -> None:
        """Admit *request*, which was held back while its page was replayed."""
        assert self.crawler is not None
        self.enqueue_request(request)
        scrapy_private.schedule_next_call(self.crawler)

    def _enqueue_again(self, request: Request, aside: Aside) -> bool:
        """Admit a request that a middleware had set aside, in its place or as a part of its page."""
        page, frontier = aside.page, self._job.frontier
        with inside(page):
            accepted = frontier.is_known_child(page, request, may_wait=False)
            if not accepted:
                if aside.in_memory:
                    frontier.parts.add(request)
                elif page.pending == 1:
                    page.discard(aside.ending)
                    page.hand_over()
                accepted = self._enqueue(request, page)
        frontier.parts.discard(request)
        if accepted:
            frontier.set_aside.remove(aside)
            page.came_back()
            self._job.end(page)
        return accepted

    def next_request(self) -> Request | None:
        # What follows in this context (downloads, idle handlers) is no page's output.
        leave_page()
        if not self._job.works:
            return None
        if self._job.is_held:
            return self._next_probe() if self._job.wants_probe() else None
        return self._take()

    def _take(self) -> Request | None:
        with self._taking:
            if self._alone is not None or self._job.frontier.suspects:
                return self._next_suspect()
            return self._next()
        return None

    def _next_probe(self) -> Request | None:
        request = self._take()
        if request is not None:
            self._job.retries.pipelines.probe(self._job.fingerprint(request))
        return request

    def _next(self) -> Request | None:
        assert self.dqs is not None
        self._job.prepare_lease()
        while (request := super().next_request()) is None and len(self.dqs) and not self._gate.is_full:
            pass  # a whole queue was buried; the next one may have something
        if request is not None:
            self._job.leased()
        else:
            self._job.retries.wait_for_hosts()
        return request

    def _next_suspect(self) -> Request | None:
        """Try a page that the process died of too often with nothing else in flight, and commit after the page."""
        frontier = self._job.frontier
        if frontier.in_flight:
            return None
        if self._alone is not None and self._alone.pending and not frontier.set_aside.has(self._alone):
            return frontier.registry.next_in_memory(self._alone)
        self._alone = None
        self._job.flush()
        request = frontier.next_suspect()
        if request is None:
            return self._next()
        self._alone = frontier.in_flight[request]
        return request

    # -- the durable queue ---------------------------------------------------------------------------------------

    def _durable_queue(self) -> Any:
        """Return Scrapy's priority queue over the store's queues. The store has what Scrapy keeps in active.json."""
        assert self.crawler is not None
        priority_queue: Any = self.pqclass
        return build_from_crawler(
            priority_queue,
            self.crawler,
            downstream_queue_cls=self.dqclass,
            key="",
            startprios=self._stored_priorities(),
            start_queue_cls=self._start_class,
        )

    @property
    def _by_slot(self) -> bool:
        assert self.pqclass is not None
        return issubclass(self.pqclass, DownloaderAwarePriorityQueue)

    def _stored_priorities(self) -> Any:
        by_slot: dict[str, set[int]] = {}
        for record in self._job.frontier.registry.all():
            if not self._is_foreign(record):
                priority = int(record.key.rpartition("/")[2].rstrip("s"))
                by_slot.setdefault(record.slot or "", set()).add(priority)
        if self._by_slot:
            return {slot: sorted(priorities) for slot, priorities in by_slot.items()}
        return sorted(set().union(*by_slot.values()))

    def _is_foreign(self, record: QueueRecord) -> bool:
        """Whether other settings named this queue: it is ``/priority`` or ``/slot/priority``, with an s for start."""
        start = record.key.endswith("s") and self._start_class is None
        return start or record.key.count("/") != (2 if self._by_slot else 1)

    def _rehome(self) -> None:
        """Move requests to queues that the priority queue can see, if its class has changed since the last run."""
        assert self.dqs is not None
        frontier = self._job.frontier
        for record in filter(self._is_foreign, frontier.registry.all()):
            logger.info("Moving %s to the queues of %s", counted(record.stored, "request", "requests"), self.pqclass)
            for entry in frontier.read_all(record):
                page = frontier.replaceable(entry.id, entry.story)
                page.enter()
                request = frontier.decode(entry.id, entry.payload)
                if request is not None:
                    self.dqs.push(request)
                    self._job.end(page)
        leave_page()
