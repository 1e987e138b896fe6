"""The private or undocumented names of Scrapy that T8 uses: a table, checked at every start."""

from __future__ import annotations

import inspect
import sys

import scrapy
from scrapy.core import engine as engine_module
from scrapy.core.downloader import Downloader
from scrapy.core.engine import ExecutionEngine
from scrapy.core.scheduler import Scheduler
from scrapy.core.scraper import Scraper
from scrapy.core.scraper import Slot as ScraperSlot
from scrapy.crawler import Crawler
from scrapy.downloadermiddlewares.cookies import CookiesMiddleware
from scrapy.dupefilters import RFPDupeFilter
from scrapy.extensions.closespider import CloseSpider
from scrapy.extensions.feedexport import FeedExporter
from scrapy.pipelines import ItemPipelineManager
from scrapy.pqueues import DownloaderAwarePriorityQueue, ScrapyPriorityQueue
from scrapy.utils.asyncio import is_asyncio_available

from scrapy_t8.errors import ScrapyChanged

ENGINE_SLOT: type = getattr(engine_module, "_Slot", type("_Slot", (), {}))
"""An empty class if there is none: then the check says what is missing."""

TABLE: tuple[tuple[type | str, str, str], ...] = (
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
    (Scraper, "itemproc", "Leads to the item pipelines."),
    (
        ItemPipelineManager,
        "middlewares close_spider_async()",
        "Replaced: t8_commit of the pipelines comes before their close_spider.",
    ),
    (Downloader, "slots per_slot_settings", "AutoThrottle's delays are kept across runs."),
    (Scheduler, "dqs", "Assigned: the durable queue is there without a JOBDIR of Scrapy's own."),
    (DownloaderAwarePriorityQueue, "pqueues pqfactory", "The queue of a host that is down is set aside."),
    (ScrapyPriorityQueue, "queues _start_queues curprio", "Assigned: a request that has failed is the probe."),
    (CloseSpider, "counter close_on", "Assigned: limits of the job begin with what earlier runs counted."),
    (RFPDupeFilter, "fingerprints file", "Assigned: what a filter of the project has seen is part of the commits."),
    (CookiesMiddleware, "jars", "Cookie jars are kept across runs."),
    (
        "scrapy.pipelines.media.MediaPipeline",
        "_modify_media_request(request)",
        "A retry of a file must be like its first request.",
    ),
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
    (
        "scrapy.commands.ScrapyCommand",
        "run exitcode crawler_process",
        "The call's locals hold the command, which may inspect a page.",
    ),
)
"""A class of Scrapy, or the path of one that a crawl may go without; its names that are private, undocumented or
replaced, with the parameters that they are called with; the reason."""


def check() -> None:
    """Check that this release of Scrapy has everything in the table.

    :raises ScrapyChanged: naming what is missing.
    """
    for named, names, reason in TABLE:
        owner = _loaded(named) if isinstance(named, str) else named
        for name in names.split():
            if owner is not None and not _has(owner, name):
                raise _changed(f"{owner.__name__}.{name}", reason)
    code = inspect.unwrap(ExecutionEngine._start_scheduled_request).__code__
    if "_handle_downloader_output" not in code.co_names:
        raise _changed("a call of _handle_downloader_output for each scheduled request", TABLE[0][2])
    if not is_asyncio_available():
        raise ScrapyChanged(
            "T8 needs asyncio, and TWISTED_REACTOR names a reactor without it: remove that setting (the default is "
            "asyncio), or set TWISTED_REACTOR_ENABLED=False"
        )


def _loaded(path: str) -> type | None:
    """Return the class of that path, or None if its module is not loaded: then the crawl does not use the class."""
    module, _, name = path.rpartition(".")
    return getattr(sys.modules[module], name, type(name, (), {})) if module in sys.modules else None


def _has(owner: type, name: str) -> bool:
    name, _, parameters = name.rstrip(")").partition("(")
    found = getattr(owner, name, None)
    if parameters:
        code = getattr(inspect.unwrap(found), "__code__", None) if callable(found) else None
        if code is None:
            return False
        arguments = inspect.getargs(code)
        return set(parameters.split(",")) <= {*arguments.args, arguments.varargs, arguments.varkw}
    # An attribute of an instance is named in the code of its methods.
    methods = [method for cls in owner.__mro__ for method in vars(cls).values() if inspect.isfunction(method)]
    return hasattr(owner, name) or any(name in inspect.unwrap(method).__code__.co_names for method in methods)


def _changed(what: str, reason: str) -> ScrapyChanged:
    return ScrapyChanged(
        f"Scrapy {scrapy.__version__} has no {what}, and scrapy_t8 needs it. {reason} Use a Scrapy release that the "
        "README of scrapy_t8 names, or remove the add-on"
    )
