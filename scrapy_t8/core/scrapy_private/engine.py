"""Where T8 takes part in the work of Scrapy's engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any
from weakref import WeakSet

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.dupefilters import RFPDupeFilter
from scrapy.exceptions import CloseSpider as CloseSpiderException
from scrapy.utils.defer import deferred_from_coro
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from scrapy_t8.utils.log.loggers import get_logger
from scrapy_t8.utils.threads import EndingOutput, ending_output, is_of_code

logger = get_logger(__name__)

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


def call_if_pipelines_do_not_close(crawler: Crawler, failed: Callable[[Exception], object]) -> None:
    """Call *failed* with the exception that a pipeline raises as it closes."""
    itemproc: Any = crawler.engine.scraper.itemproc
    close = itemproc.close_spider_async

    async def close_and_report() -> None:
        try:
            await close()
        except Exception as error:
            failed(error)
            raise

    itemproc.close_spider_async = close_and_report


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
