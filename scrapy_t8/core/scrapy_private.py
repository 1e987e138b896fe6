"""The only module that uses private or undocumented names of Scrapy: a table of them, checked at every start."""

from __future__ import annotations

import inspect
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from types import FrameType
from typing import Any
from weakref import WeakSet

import scrapy
from scrapy import Request
from scrapy.commands import BaseRunSpiderCommand, ScrapyCommand
from scrapy.commands.parse import Command as Parse
from scrapy.core import engine as engine_module
from scrapy.core.downloader import Downloader
from scrapy.core.engine import ExecutionEngine
from scrapy.core.scheduler import Scheduler
from scrapy.core.scraper import Scraper
from scrapy.core.scraper import Slot as ScraperSlot
from scrapy.crawler import Crawler
from scrapy.downloadermiddlewares.cookies import CookiesMiddleware
from scrapy.dupefilters import RFPDupeFilter
from scrapy.exceptions import CloseSpider as CloseSpiderException
from scrapy.extensions.closespider import CloseSpider
from scrapy.extensions.feedexport import FeedExporter
from scrapy.pipelines.media import MediaPipeline
from scrapy.pqueues import DownloaderAwarePriorityQueue
from scrapy.utils.asyncio import is_asyncio_available
from scrapy.utils.defer import deferred_from_coro
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from scrapy_t8.errors import ScrapyChanged
from scrapy_t8.utils.log.loggers import get_logger
from scrapy_t8.utils.threads import EndingOutput, ending_output, is_of_code

logger = get_logger(__name__)

SHUTDOWN = "shutdown"
"""The reason with which Scrapy closes the spider after a signal."""

ENGINE_SLOT: type = getattr(engine_module, "_Slot", type("_Slot", (), {}))
"""An empty class if there is none: then the check says what is missing."""

TABLE: tuple[tuple[type, str, str], ...] = (
    (
        ExecutionEngine,
        "_handle_downloader_output(result,request) _start_scheduled_request",
        # No signal says as much: after an IgnoreRequest there is none at all.
        "Replaced: every scheduled request passes here, and has ended when its callback, items and requests have.",
    ),
    (ExecutionEngine, "close_spider_async(reason)", "Replaced: called before the wait that T8_STOP_GRACE limits."),
    (ExecutionEngine, "_slot", "Leads to the engine's slot."),
    (ENGINE_SLOT, "nextcall", "To have the engine ask for a request when one is due, not up to 5 s later."),
    (ENGINE_SLOT, "inprogress remove_request(request)", "To end a stop although requests are in flight."),
    (
        Scraper,
        "handle_spider_error(_failure,request,response)",
        "Replaced: a callback or errback that raises CloseSpider sends no signal, and its page is not done.",
    ),
    (
        Scraper,
        "_scrape(result,request) handle_spider_output_async(result,request,response) call_spider_async(result,request)",
        "Replaced: a callback that ends with a CancelledError, or another exception that is no Exception, would hang.",
    ),
    (ScraperSlot, "queue active itemproc_size closing is_idle()", "To end a stop although items are under way."),
    (Scraper, "itemproc", "The closing of its pipelines is replaced: t8_commit comes first."),
    (Downloader, "slots per_slot_settings", "AutoThrottle's delays are kept across runs."),
    (Scheduler, "dqs", "Assigned: the durable queue is there without a JOBDIR of Scrapy's own."),
    (DownloaderAwarePriorityQueue, "pqueues pqfactory", "The queue of a host that is down is set aside."),
    (CloseSpider, "counter close_on", "Assigned: limits of the job begin with what earlier runs counted."),
    (RFPDupeFilter, "fingerprints file", "Assigned: what a filter of the project has seen is part of the commits."),
    (CookiesMiddleware, "jars", "Cookie jars are kept across runs."),
    (MediaPipeline, "_modify_media_request(request)", "A retry of a file must be like its first request."),
    (
        FeedExporter,
        "_start_new_batch(batch_id,uri,feed_options,spider,uri_template)",
        "Scrapy's own code writes rewritten feeds, under the URI that the job began with.",
    ),
    (FeedExporter, "_get_uri_params(spider,uri_params_function,slot)", "To name the next batch of an appended feed."),
    (
        FeedExporter,
        "_close_slot(slot,spider)",
        "To see a feed that could not be stored. It counts by the __name__ of the storage, so ours has Scrapy's.",
    ),
    (Crawler, "crawl(args,kwargs) crawl_async(args,kwargs)", "The locals of the call hold the spider's arguments."),
    (ScrapyCommand, "run exitcode crawler_process", "The call's locals hold the command, which may inspect a page."),
)
"""A class of Scrapy; its names that are private, undocumented or replaced, with the parameters that they are called
with; the reason."""


def check() -> None:
    """Check that this release of Scrapy has everything in the table.

    :raises ScrapyChanged: naming what is missing.
    """
    for owner, names, reason in TABLE:
        for name in names.split():
            if not _has(owner, name):
                raise _changed(f"{owner.__name__}.{name}", reason)
    code = inspect.unwrap(ExecutionEngine._start_scheduled_request).__code__
    if "_handle_downloader_output" not in code.co_names:
        raise _changed("a call of _handle_downloader_output for each scheduled request", TABLE[0][2])
    if not is_asyncio_available():
        raise ScrapyChanged(
            "T8 needs asyncio, and TWISTED_REACTOR names a reactor without it: remove that setting (the default is "
            "asyncio), or set TWISTED_REACTOR_ENABLED=False"
        )


def _has(owner: type, name: str) -> bool:
    name, _, parameters = name.rstrip(")").partition("(")
    found = getattr(owner, name, None)
    if parameters:
        return callable(found) and set(parameters.split(",")) <= set(inspect.signature(found).parameters)
    # An attribute of an instance is named in the code of its methods.
    methods = [method for cls in owner.__mro__ for method in vars(cls).values() if inspect.isfunction(method)]
    return hasattr(owner, name) or any(name in inspect.unwrap(method).__code__.co_names for method in methods)


def _changed(what: str, reason: str) -> ScrapyChanged:
    return ScrapyChanged(
        f"Scrapy {scrapy.__version__} has no {what}, and scrapy_t8 needs it. {reason} Use a Scrapy release that the "
        "README of scrapy_t8 names, or remove the add-on"
    )


# -- the engine ---------------------------------------------------------------------------------------------------

_released: WeakSet[Crawler] = WeakSet()


def watch(crawler: Crawler, arrived: Callable[..., Request | None], left: Callable[[Request], object]) -> None:
    """Report every scheduled request when it comes back, and when everything that it brought about has ended.

    :param arrived: called with the request and its outcome: a response, a failure, or another request that takes its
        place (a retry, a redirect). The context that it leaves behind is the one in which callbacks, pipelines and
        signals of this request run. A request that it returns is the outcome instead.
    :param left: called when its callback or errback, its items and its requests have ended, whatever the path.
    """
    engine: Any = crawler.engine
    handle = engine._handle_downloader_output

    def watched(result: Any, request: Request) -> Deferred[None]:
        if crawler in _released:
            return Deferred()  # never called: the engine does not have the request any more
        again = arrived(request, result)
        deferred: Deferred[None] = handle(result if again is None else again, request)
        deferred.addBoth(after, request)
        return deferred

    def after(result: Any, request: Request) -> Any:
        left(request)
        return Deferred() if crawler in _released else result

    engine._handle_downloader_output = watched


def item_pipelines(crawler: Crawler) -> list[Any]:
    """Return the item pipelines, in their order."""
    return list(crawler.engine.scraper.itemproc.middlewares)


def items_in_pipelines(crawler: Crawler) -> int:
    """Return how many items are in the item pipelines."""
    return crawler.engine.scraper.slot.itemproc_size if crawler.engine and crawler.engine.scraper.slot else 0


def call_before_pipelines_close(crawler: Crawler, before: Callable[[], Awaitable[None]]) -> None:
    """Await *before* when no item is under way any more, and the item pipelines are about to close."""
    itemproc: Any = crawler.engine.scraper.itemproc
    close = itemproc.close_spider_async

    async def close_after() -> None:
        await before()
        await close()

    itemproc.close_spider_async = close_after


def call_on_close_spider(crawler: Crawler, raised: Callable[[Request, str], object]) -> None:
    """Call *raised* with each request whose callback or errback raises CloseSpider, and with the close reason."""
    scraper: Any = crawler.engine.scraper
    handle = scraper.handle_spider_error

    def handle_and_report(_failure: Failure, request: Request, response: Any) -> None:
        if isinstance(_failure.value, CloseSpiderException):
            raised(request, _failure.value.reason or "cancelled")
        handle(_failure, request, response)

    scraper.handle_spider_error = handle_and_report


def call_before_errback(crawler: Crawler, failed: Callable[[Request, Any], object]) -> None:
    """Call *failed* with each request, and the error, whose errback is called, or would be if the request had one.

    That is so after a failed download, and where a spider middleware raises an exception in process_spider_input.
    """
    scraper: Any = crawler.engine.scraper
    call = scraper.call_spider_async

    def call_and_report(result: Any, request: Request) -> Any:
        if isinstance(result, Failure):
            failed(request, result.value)
        return call(result, request)

    scraper.call_spider_async = call_and_report


def replace_fingerprints(dupefilter: RFPDupeFilter, fingerprints: object) -> bool:
    """Let *dupefilter* keep its fingerprints in *fingerprints*. Return False if it has no set of them."""
    held: dict[str, Any] = vars(dupefilter)
    for name in ("_fingerprints", "fingerprints"):
        if type(held.get(name)) is set:
            held[name] = fingerprints
            return True
    return False


def end_on_base_exception(crawler: Crawler, raised: Callable[[Request, BaseException], object]) -> None:
    """Let a callback or errback end that raises an exception that is no Exception, and call *raised* with it."""
    scraper: Any = crawler.engine.scraper
    scrape, handle = scraper._scrape, scraper.handle_spider_output_async

    async def scrape_to_its_end(result: Any, request: Request) -> None:
        try:
            await scrape(result, request)
        except BaseException as error:
            # The download itself is cancelled at a forced stop: then the request must not end. Any other error comes
            # from a callback or an errback.
            if not is_of_code(error) or (isinstance(result, Failure) and result.value is error):
                raise
            raised(request, error)

    async def handle_to_its_end(result: Any, request: Request, response: Any) -> None:
        is_async, end = isinstance(result, AsyncIterator), partial(raised, request)
        await handle(EndingOutput(result, end) if is_async else ending_output(result, end), request, response)

    scraper._scrape, scraper.handle_spider_output_async = scrape_to_its_end, handle_to_its_end


def schedule_next_call(crawler: Crawler) -> None:
    """Have the engine ask the scheduler for requests soon."""
    if crawler.engine is not None and crawler.engine._slot is not None:
        crawler.engine._slot.nextcall.schedule()


def close_spider(crawler: Crawler, reason: str) -> None:
    """Close the spider from synchronous code, without waiting for it. Do nothing before the engine is made."""
    try:
        engine = crawler.engine
    except RuntimeError:  # Scrapy raises it where the engine is not made yet
        return
    if engine is not None and engine.spider is not None:
        closing = deferred_from_coro(engine.close_spider_async(reason=reason))
        closing.addErrback(lambda failure: logger.debug("The spider was closed already: %s", failure.getErrorMessage()))


def call_around_close(
    crawler: Crawler, begins: Callable[[str], object], ended: Callable[[], object] = lambda: None
) -> None:
    """Call *begins* with the reason before Scrapy closes the spider and waits for what is in flight; *ended* after."""
    engine: Any = crawler.engine
    close = engine.close_spider_async

    async def close_and_tell(*, reason: str = "cancelled") -> None:
        begins(reason)
        try:
            await close(reason=reason)
        finally:
            ended()

    engine.close_spider_async = close_and_tell


def end_wait_for_items(crawler: Crawler) -> None:
    """Let a spider close that waits for items, if none is left. Scrapy looks only when a response was processed."""
    slot: Any = crawler.engine.scraper.slot
    if slot is not None and slot.closing is not None and not slot.closing.called and slot.is_idle():
        slot.closing.callback(crawler.spider)


def release_in_flight(crawler: Crawler) -> None:
    """Take everything in flight from the engine, so that a spider that is being closed need not wait for it."""
    engine = crawler.engine
    _released.add(crawler)
    if engine.scraper.slot is not None:
        engine.scraper.slot.queue.clear()
        engine.scraper.slot.active.clear()
        engine.scraper.slot.itemproc_size = 0
        end_wait_for_items(crawler)
    if engine._slot is not None:
        for request in list(engine._slot.inprogress):
            engine._slot.remove_request(request)


# -- the call that has brought us here ----------------------------------------------------------------------------


def spider_arguments(crawler: Crawler) -> dict[str, Any] | None:
    """Return the arguments of the spider, read off the call that is making it; None if that call is not there."""
    for frame in _callers():
        names = frame.f_locals
        if frame.f_code.co_name in ("crawl", "crawl_async") and names.get("self") is crawler:
            positional = {str(i): value for i, value in enumerate(names.get("args", ()))}
            return {**positional, **names.get("kwargs", {})}
    return None


_exit_statuses: dict[object, int] = {}
"""The exit status of each crawl that a command runs."""


def set_exit_status(crawl: object, status: int) -> None:
    """Have the command that runs *crawl*, if there is one, end with *status*, unless the command fails by itself.

    Of the statuses of several crawls, the lowest that is not 0 counts.
    """
    command = running_command()
    if command is not None:
        fails_by_itself = command.exitcode not in (0, _worst())
        _exit_statuses[crawl] = status
        command.exitcode = command.exitcode if fails_by_itself else _worst()


def _worst() -> int:
    return min(filter(None, _exit_statuses.values()), default=0)


def is_inspection_command() -> bool:
    """Whether this is ``scrapy shell``, ``fetch``, ``view``, ``parse``, ``check`` or ``bench``: no crawl to resume."""
    command = running_command()
    return command is not None and (isinstance(command, Parse) or not isinstance(command, BaseRunSpiderCommand))


def running_command() -> ScrapyCommand | None:
    """Return the command of Scrapy that has brought us here."""
    commands = (frame.f_locals.get("self") for frame in _callers() if frame.f_code.co_name == "run")
    return next((found for found in commands if isinstance(found, ScrapyCommand)), None)


def _callers() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        yield frame
        frame = frame.f_back
