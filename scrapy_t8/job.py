"""What the components of one crawl share: the config, the store, the frontier, the commit loop.

One :class:`Job` per crawler. Every door asks for it with :meth:`Job.of`; the checkpoint extension opens and closes it.
"""

from __future__ import annotations

import atexit
import json
import logging
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol
from weakref import WeakKeyDictionary

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured
from scrapy.utils.asyncio import CallLaterResult, call_later
from scrapy.utils.project import data_path

from . import joints
from .codec import Codec
from .config import Config
from .errors import CannotStore, FeedError, JobMismatch, T8Error, remedy
from .frontier import Frontier
from .model import START, JobRecord, Recovery
from .page import Page, current_page
from .stores.sqlite import SQLiteStore

if TYPE_CHECKING:
    from .stores.base import IfDamaged, Store

logger = logging.getLogger(__name__)

SLICE = 4 << 20
"""Bytes of staged output that are written before the event loop gets its turn again."""
PENDING = 1000
"""Changes after which a commit does not wait for its interval."""


class Sink(Protocol):
    """Where staged records go when their page settles: a feed file, or the spool."""

    name: str

    def write(self, records: list[bytes]) -> None:
        """Append *records*. They count with the next commit."""

    def flush(self) -> None:
        """What was written is with the kernel, or with ``power`` on the disk."""

    def record(self) -> dict[str, Any]:
        """What must be known of it to go on from this point."""


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
            cls._of[crawler] = cls(crawler, joints.spider_arguments(crawler))
        return cls._of[crawler]

    def __init__(
        self, crawler: Crawler, arguments: dict[str, Any] | None, clock: Callable[[], float] = time.time
    ) -> None:
        self.crawler = crawler
        self.clock = clock
        self.error: T8Error | None = None
        self.config = Config()
        self._arguments = arguments
        self._warned: set[tuple[str, str]] = set()
        self._sinks: dict[str, Sink] = {}
        self._written: set[str] = set()
        self._ended: deque[Page] = deque()
        self._draining: Iterator[tuple[Sink, list[bytes]]] | None = None
        self._timer: CallLaterResult | None = None
        self.is_open = False
        self.closers: list[Callable[[], Awaitable[bool]]] = []
        """Called in turn before the run ends; one that returns False keeps the job from being finished."""
        self.longest_commit = 0.0
        """Seconds that one commit has held up the event loop, at the most."""

    # -- opening -------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Own the job and find out where it is.

        :raises T8Error: if it cannot be had; nothing was changed then.
        """
        crawler = self.crawler
        assert crawler.spider is not None
        joints.check(crawler)
        self.config = config = Config.from_settings(crawler.settings)
        self.directory = Path(crawler.settings["JOBDIR"] or _default_directory(crawler.spider.name))
        self.state_directory = self.directory / "t8"
        self.store: Store = SQLiteStore(self.state_directory, power=config.durability == "power")
        damaged: dict[str, IfDamaged] = {"auto": "refuse", "continue": "salvage", "fresh": "replace"}
        self.store.open(if_damaged=damaged[config.resume])
        self.is_open = True
        atexit.register(self._abandon)
        try:
            self.recovery = self._resume_or_begin()
        except BaseException:
            self._release()
            raise
        self.record = self.recovery.job
        last = self.recovery.last_run
        self._careful_until = self.clock() + 2 * config.commit_interval if last and last.reason == "died" else 0.0
        self._fingerprint = crawler.request_fingerprinter.fingerprint
        codec = Codec(crawler.spider, allow_pickle=config.allow_pickle)
        self.frontier = Frontier(
            self.store, codec, self.fingerprint, self._unstorable, self._flush_or_raise, self.clock
        )
        self.frontier.open(self.recovery)
        self.start_page = self.frontier.new_page(START)

    def _resume_or_begin(self) -> Recovery:
        old = self.store.job()
        if old is None or old.finished or self.config.resume == "fresh":
            self._begin(old)
        elif old.spider != self._spider_name or self._differs(old):
            if self.config.resume != "continue":
                raise JobMismatch(self._difference(old))
            old.spider, old.arguments = self._spider_name, self._identity
        return self.store.begin_run(self.clock(), self.config.crash_limit)

    def _begin(self, old: JobRecord | None) -> None:
        job = JobRecord(
            id=f"job_{time.strftime('%Y%m%d_%H%M%S', time.gmtime(self.clock()))}_{secrets.token_hex(2)}",
            spider=self._spider_name,
            arguments=self._identity,
            begun=self.clock(),
        )
        salvaged = 0 if old else self.store.count_entries()
        if salvaged:
            job.ledger.admitted = salvaged
            job.next_seq = 1 << 32  # beyond whatever ids the lost record had given out
        self.store.begin_job(job, keep=bool(salvaged))
        if old is not None and old.finished:
            logger.info("The last job here (%s) has finished: a new one begins", old.id)
        elif old is not None:
            logger.warning("T8_RESUME=fresh: the unfinished job %s is given up, a new one begins", old.id)
        else:
            logger.info("A new job begins in %s", self.directory)

    # -- who we are ----------------------------------------------------------------------------------------------

    @property
    def _spider_name(self) -> str:
        assert self.crawler.spider is not None
        return self.crawler.spider.name

    @property
    def _identity(self) -> dict[str, Any]:
        """The arguments in a form that can be stored and compared; of an object, its type must do."""
        arguments = self._arguments or {}
        plain = json.dumps(arguments, default=lambda value: type(value).__qualname__, sort_keys=True)
        return json.loads(plain)  # type: ignore[no-any-return]

    def _differs(self, old: JobRecord) -> bool:
        return self._arguments is not None and old.arguments != self._identity

    def _difference(self, old: JobRecord) -> str:
        if old.spider != self._spider_name:
            what = f"spider {old.spider!r}, not {self._spider_name!r}"
        else:
            before, now = old.arguments, self._identity
            names = sorted(n for n in {*before, *now} if before.get(n) != now.get(n))
            what = "other spider arguments: " + ", ".join(
                f"{name} was {before.get(name)!r}, is {now.get(name)!r}" for name in names
            )
        return (
            f"the unfinished job in {self.directory} was begun with {what}. To go on with it all the same, run with "
            "-s T8_RESUME=continue; to give it up and begin a new one, with -s T8_RESUME=fresh; or use another JOBDIR"
        )

    # -- what the doors need -------------------------------------------------------------------------------------

    @property
    def works(self) -> bool:
        """Whether the job is open and its store fit."""
        return self.is_open and self.error is None

    @property
    def is_careful(self) -> bool:
        """Whether to commit before every lease: for a moment, after a death.

        A page that kills the process before anything was committed would leave nothing to charge with the crash.
        """
        return self.clock() < self._careful_until

    def fingerprint(self, request: Request) -> int:
        """63 bits of a hash of Scrapy's own fingerprint, which a user's fingerprinter need not spread evenly."""
        return _hash(self._fingerprint(request))

    def item_fingerprint(self, content: bytes) -> int:
        """The same for the content of an item, in a domain of its own."""
        return _hash(b"item:" + content)

    def _unstorable(self, request: Request, error: CannotStore) -> None:
        callback = getattr(request.callback, "__qualname__", None) or "the default callback"
        told = (
            f"{request} ({callback}) cannot be stored: {error.where or 'request'}: {error}. Use a method of the spider "
            "as callback, and plain values or items in meta and cb_kwargs"
        )
        if self.config.unserializable == "error":
            raise CannotStore(f"{told}. T8_UNSERIALIZABLE=error: the crawl stops, and nothing is lost", error.where)
        self.crawler.stats.inc_value("scheduler/unserializable")
        if (callback, error.where) not in self._warned:
            self._warned.add((callback, error.where))
            logger.warning(
                "%s. It runs from memory: after a crash, the page that yielded it is fetched again. "
                "Not said again for this callback and key",
                told,
            )

    def add_sink(self, sink: Sink) -> None:
        self._sinks[sink.name] = sink
        self.touch(sink)

    def touch(self, sink: Sink) -> None:
        """The sink's record goes into the next commit."""
        self._written.add(sink.name)
        self.changed()

    def stage(self, sink: Sink, data: bytes) -> None:
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
        self._ended.append(page)
        if page.parent is not None:
            self.end(page.parent)
        self.changed()
        if len(self._ended) >= self.config.commit_pages and self.store.is_ready():
            self.commit()

    # -- commits -------------------------------------------------------------------------------------------------

    def changed(self) -> None:
        """There is something to commit, within the interval."""
        if not self.works:
            return
        if self._timer is None:
            self._timer = call_later(self.config.commit_interval, self.commit)
        if self.frontier.pending >= PENDING and self.store.is_ready():
            self.commit()

    def commit(self) -> None:
        """Make durable what has settled. Large staged outputs are written in slices first, over several turns."""
        self._commit(SLICE)

    def flush(self) -> None:
        """Commit everything that has settled, before anything else happens."""
        self._commit(None)

    def _flush_or_raise(self) -> None:
        """For a queue that goes on reading what was just committed: it must not do so after a failure."""
        self.flush()
        if self.error is not None:
            raise self.error

    def _commit(self, limit: int | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self.works:
            return
        if limit is not None and not self.store.is_ready():
            self.changed()
            return
        began = time.perf_counter()
        with self.guard("commit"):
            if not self._drain(limit):
                self._timer = call_later(0, self.commit)
                return
            for name in self._written:
                self._sinks[name].flush()
            batch = self.frontier.batch()
            batch.feeds = {name: self._sinks[name].record() for name in self._written}
            self.store.commit(batch, self.record, self.clock())
            self.frontier.committed()
            self._written.clear()
        self.longest_commit = max(self.longest_commit, time.perf_counter() - began)

    def _drain(self, limit: int | None) -> bool:
        """Write the outputs of ended pages. False if one is written in part only: then nothing may be committed."""
        left = limit
        while self._draining is not None or self._ended:
            if self._draining is None:
                self._draining = self._outputs(self._ended[0])
            for sink, records in self._draining:
                sink.write(records)
                self._written.add(sink.name)
                self.record.ledger.items += len(records)
                if left is not None:
                    left -= sum(map(len, records))
                    if left <= 0:
                        return False
            self._draining = None
            self.frontier.settle(self._ended.popleft())
        return True

    def _outputs(self, page: Page) -> Iterator[tuple[Sink, list[bytes]]]:
        for name, staged in page.staged.items():
            for records in staged.batches(SLICE // 8):
                yield self._sinks[name], records

    def guard(self, what: str) -> Guard:
        """Whatever goes wrong inside stops the crawl, loudly: nobody could say what is lost if it went on."""
        return Guard(self, what)

    # -- ends ----------------------------------------------------------------------------------------------------

    def fail(self, error: T8Error) -> None:
        """The store, or a feed, is not fit any more: stop the crawl. The last commit is the state, as after a kill."""
        if self.error is not None:
            return
        self.error = error
        logger.critical("%s", error)
        self.stop(error.reason)

    def stop(self, reason: str) -> None:
        """Ask the engine to close the spider, from wherever we are."""
        joints.close_spider(self.crawler, reason)

    async def close(self, reason: str) -> None:
        """Finish the feeds, balance the books, end the run and give the job up."""
        if not self.is_open:
            return
        complete = True
        for closer in self.closers:
            with self.guard("finish"):
                complete = await closer() and complete
        self.flush()
        if self.error is None:
            self._finish(reason, complete)
        self._give_up(self.error.reason if self.error else reason)

    def _finish(self, reason: str, complete: bool) -> None:
        self.crawler.stats.set_value("t8/longest_commit_seconds", round(self.longest_commit, 4))
        left = len(self.frontier)
        difference = self.record.ledger.difference(left)
        if difference:
            logger.error(
                "The books do not balance: %d requests are unaccounted for. %s", difference, self.record.ledger
            )
        through = self.record.start_done and not left and complete and not difference
        self.record.finished = through and reason == "finished"
        if reason == "finished" and not through:
            logger.error(
                "Scrapy says finished, but the job is not: %d requests left, start() %s. Run the same command again",
                left,
                "read to its end" if self.record.start_done else "not read to its end",
            )

    def _give_up(self, reason: str) -> None:
        try:
            # An end that we saw is nobody's crash: the marks go.
            # After an error the books in memory are ahead of the last commit.
            self.store.end_run(self.clock(), reason, self.record if self.error is None else None)
        except T8Error as error:
            logger.critical("%s", error)
        self._release()

    def _release(self) -> None:
        self.is_open = False
        atexit.unregister(self._abandon)
        self.store.close()
        self._of.pop(self.crawler, None)

    def _abandon(self) -> None:
        """The interpreter ends with the job open, as after a second Ctrl-C: keep what has settled."""
        self.flush()
        if self.is_open:
            self._give_up("forced")


class Guard:
    """A context that turns every exception into the end of the crawl. May be entered again and again."""

    def __init__(self, job: Job, what: str) -> None:
        self._job = job
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: Any) -> bool:
        if not isinstance(error, Exception):
            return False
        self._job.fail(self._told(error))
        return True

    def _told(self, error: Exception) -> T8Error:
        if isinstance(error, T8Error):
            return error
        if isinstance(error, OSError):
            return FeedError(f"cannot {self._what}: {error}. {remedy(error)}")
        logger.error("A bug in scrapy_t8", exc_info=error)
        return T8Error(f"cannot {self._what}: {error!r}. {remedy(error)}")


def _default_directory(spider: str) -> str:
    try:
        return data_path(f"t8/{spider}")
    except NotConfigured:  # settings of a project, but no scrapy.cfg
        return f".scrapy/t8/{spider}"


def _hash(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big") >> 1
