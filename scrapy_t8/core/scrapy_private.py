"""Every private name of Scrapy that T8 stands on, in one place, and the check that each is still what we think.

=============================================  ===================================================================
private name                                   why no public joint does
=============================================  ===================================================================
``ExecutionEngine._handle_downloader_output``  The one place that every scheduled request passes with what became of
                                               it, and whose end is the end of its callback, items and requests. No
                                               signal says as much: after an IgnoreRequest there is none at all.
``ExecutionEngine._slot.nextcall.schedule()``  To have the engine ask for a request when one is due. Where it is not
                                               there, the engine's own heartbeat does it, within five seconds.
``ExecutionEngine._slot.remove_request``,      A stop that has waited long enough lets go of what is in flight. Where
``ExecutionEngine.scraper.slot``               they are not there, the stop takes as long as Scrapy's own.
``FeedExporter._start_new_batch``,             A feed that cannot be continued is written whole from the spool by
``_get_uri_params``, ``_close_slot``            Scrapy's own code, under the URI that the job began with; what goes
                                               wrong while it is stored is told, and its items are kept.
locals of ``Crawler.crawl[_async]``            The arguments of the spider, to tell one job from another. Not needed:
                                               where they cannot be seen, they are not compared.
``self`` of a command's ``run``                To keep out of ``scrapy shell``, ``fetch``, ``parse`` and the like, which
                                               must not touch the job of a crawl; and to tell the command with what
                                               status to end (its ``exitcode``). Where it is not there, that is 0.
=============================================  ===================================================================
"""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any
from weakref import WeakSet

from scrapy import Request
from scrapy.commands import BaseRunSpiderCommand, ScrapyCommand
from scrapy.commands.parse import Command as Parse
from scrapy.core.engine import ExecutionEngine
from scrapy.crawler import Crawler
from scrapy.extensions.feedexport import FeedExporter
from scrapy.utils.asyncio import is_asyncio_available
from scrapy.utils.defer import deferred_from_coro
from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from scrapy_t8.errors import ScrapyChanged

logger = logging.getLogger(__name__)

EXPECTED: tuple[tuple[type, str, tuple[str, ...]], ...] = (
    (ExecutionEngine, "_handle_downloader_output", ("result", "request")),
    (ExecutionEngine, "close_spider_async", ("reason",)),
    (FeedExporter, "_start_new_batch", ("batch_id", "uri", "feed_options", "spider", "uri_template")),
    (FeedExporter, "_get_uri_params", ("spider", "uri_params_function", "slot")),
    (FeedExporter, "_close_slot", ("slot", "spider")),
)


def check(crawler: Crawler) -> None:
    """See that the engine of *crawler* still has what the settlement watches.

    :raises ScrapyChanged: naming what is missing.
    """
    for owner, name, parameters in EXPECTED:
        function = getattr(owner, name, None)
        if function is None or not set(parameters) <= set(inspect.signature(function).parameters):
            raise _changed(f"{owner.__name__}.{name}({', '.join(parameters)})")
    starter = getattr(ExecutionEngine, "_start_scheduled_request", None)
    code = inspect.unwrap(starter).__code__ if starter is not None else None
    if code is None or "_handle_downloader_output" not in code.co_names:
        raise _changed("a call of _handle_downloader_output for each scheduled request")
    if not is_asyncio_available():
        raise ScrapyChanged(
            "T8 needs asyncio, and TWISTED_REACTOR names a reactor without it: remove that setting (the default is "
            "asyncio), or set TWISTED_REACTOR_ENABLED=False"
        )


def _changed(what: str) -> ScrapyChanged:
    from scrapy import __version__

    return ScrapyChanged(
        f"Scrapy {__version__} has no {what}, so T8 cannot tell when a page is settled, and does not start. "
        "Use a Scrapy release that the README of scrapy_t8 names, or remove the add-on"
    )


def watch(crawler: Crawler, arrived: Callable[[Request, object], object], left: Callable[[Request], object]) -> None:
    """Be told of every scheduled request that comes back, and when all it brought about has ended.

    :param arrived: called with the request and what came back: a response, a failure, or another request that takes its
        place (a retry, a redirect). The context that it leaves behind is the one in which callbacks, pipelines and
        signals of this request run.
    :param left: called when its callback or errback, its items and its requests are through, whatever the path.
    """
    engine = crawler.engine
    assert engine is not None
    handle = engine._handle_downloader_output

    def watched(result: Any, request: Request) -> Deferred[None]:
        if crawler in _abandoned:
            return succeed(None)
        arrived(request, result)
        deferred: Deferred[None] = handle(result, request)
        deferred.addBoth(_after, left, request)
        return deferred

    engine._handle_downloader_output = watched  # type: ignore[method-assign]


def _after(result: Any, left: Callable[[Request], object], request: Request) -> Any:
    left(request)
    return result


def wake(crawler: Crawler) -> None:
    """Have the engine ask the scheduler for requests soon."""
    slot = getattr(crawler.engine, "_slot", None)
    nextcall = getattr(slot, "nextcall", None)
    if nextcall is not None:
        nextcall.schedule()


def close_spider(crawler: Crawler, reason: str) -> None:
    """Close the spider from synchronous code, without waiting for it. Do nothing before the engine is made."""
    try:
        engine = crawler.engine
    except RuntimeError:  # Scrapy raises it where the engine is not made yet
        return
    if engine is not None and engine.spider is not None:
        deferred_from_coro(engine.close_spider_async(reason=reason)).addErrback(_not_closed)


_abandoned: WeakSet[Crawler] = WeakSet()


def abandon(crawler: Crawler) -> None:
    """Let go of everything in flight, so that a spider that is being closed need not wait for it."""
    engine = crawler.engine
    assert engine is not None
    scraping = engine.scraper.slot
    if scraping is not None:
        scraping.queue.clear()
        scraping.active.clear()
        scraping.itemproc_size = 0
    slot: Any = getattr(engine, "_slot", None)
    _abandoned.add(crawler)
    # What was let go of ends when the event loop does, and finds nobody who waits for it.
    logging.getLogger("scrapy.core.engine").addFilter(
        lambda record: not record.getMessage().startswith("Error while removing request from slot")
    )
    for request in list(getattr(slot, "inprogress", ())):
        slot.remove_request(request)


def _not_closed(failure: Failure) -> None:
    logger.debug("The spider was closed already: %s", failure.getErrorMessage())


def spider_arguments(crawler: Crawler) -> dict[str, Any] | None:
    """What the spider of *crawler* was made with, read off the call that is making it; None if it is not there."""
    for frame in _callers():
        names = frame.f_locals
        if frame.f_code.co_name in ("crawl", "crawl_async") and names.get("self") is crawler:
            positional = {str(i): value for i, value in enumerate(names.get("args", ()))}
            return {**positional, **names.get("kwargs", {})}
    return None


def set_exit_status(status: int) -> None:
    """Have the command that runs the crawl, if it is one, end with *status* (unless it ends with another already)."""
    command = _command()
    if command is not None and not command.exitcode:
        command.exitcode = status


def _command() -> ScrapyCommand | None:
    commands = (frame.f_locals.get("self") for frame in _callers() if frame.f_code.co_name == "run")
    return next((found for found in commands if isinstance(found, ScrapyCommand)), None)


def only_looks() -> bool:
    """Whether this is ``scrapy shell``, ``fetch``, ``view``, ``parse``, ``check`` or ``bench``: no crawl to resume."""
    command = _command()
    return command is not None and (isinstance(command, Parse) or not isinstance(command, BaseRunSpiderCommand))


def _callers() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        yield frame
        frame = frame.f_back


def say_no_more_of(told: type[Exception]) -> None:
    """Keep the traceback of an error that was told in one clear line out of the log."""

    class Told(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            if record.exc_info and isinstance(record.exc_info[1], told):
                return False
            # Twisted gives the traceback of a Deferred as text.
            return f"{told.__module__}." not in record.getMessage()

    for name in ("asyncio", "twisted"):
        # An exception that ends a crawl before it began ends up with one of these.
        logging.getLogger(name).addFilter(Told())
