"""The add-on: which component goes into which Scrapy setting."""

from __future__ import annotations

from typing import Any

# Before all else: what the downloader imports scans all modules that are loaded, once for each of its classes.
import scrapy.core.downloader.contextfactory  # noqa: F401
from scrapy.downloadermiddlewares.cookies import CookiesMiddleware
from scrapy.downloadermiddlewares.httpcompression import HttpCompressionMiddleware
from scrapy.downloadermiddlewares.retry import RetryMiddleware
from scrapy.downloadermiddlewares.robotstxt import RobotsTxtMiddleware
from scrapy.dupefilters import RFPDupeFilter
from scrapy.exceptions import NotConfigured
from scrapy.extensions.closespider import CloseSpider
from scrapy.extensions.feedexport import FeedExporter
from scrapy.extensions.spiderstate import SpiderState
from scrapy.settings import SETTINGS_PRIORITIES, BaseSettings
from scrapy.utils.misc import load_object

from scrapy_t8.components.downloadermiddlewares.cookies import T8CookiesMiddleware
from scrapy_t8.components.downloadermiddlewares.httpcompression import T8HttpCompressionMiddleware
from scrapy_t8.components.downloadermiddlewares.retry import T8RetryCacheMiddleware, T8RetryMiddleware
from scrapy_t8.components.downloadermiddlewares.robotstxt import T8RobotsTxtMiddleware
from scrapy_t8.components.dupefilter import T8DupeFilter
from scrapy_t8.components.extensions.checkpoint import INCOMPLETE, T8Checkpoint
from scrapy_t8.components.extensions.closespider import T8CloseSpider
from scrapy_t8.components.extensions.expectations import T8Expectations
from scrapy_t8.components.extensions.report import T8Report
from scrapy_t8.components.extensions.shutdown import T8GracefulStop
from scrapy_t8.components.extensions.spiderstate import T8SpiderState
from scrapy_t8.components.extensions.stats import T8JobStats
from scrapy_t8.components.extensions.throttle import T8ThrottleState
from scrapy_t8.components.feeds.exporter import T8FeedExporter
from scrapy_t8.components.scheduler import T8Scheduler
from scrapy_t8.components.spidermiddlewares.failures import T8FailureMiddleware
from scrapy_t8.components.spidermiddlewares.start import T8StartMiddleware
from scrapy_t8.core import scrapy_private
from scrapy_t8.pipelines.counting import T8ItemCounterPipeline
from scrapy_t8.pipelines.dedup import T8ChangesPipeline, T8DedupPipeline
from scrapy_t8.pipelines.validation import T8ValidationPipeline
from scrapy_t8.utils.log.loggers import get_logger

logger = get_logger(__name__)

OUTERMOST = 1
"""The spider middleware nearest to the engine: it sees what ``start()`` yields in its final form."""

INNERMOST = 100_000
"""The spider middleware nearest to the spider: it sees each exception first."""

LAST = 100_000
"""The pipeline that sees items in their final form; with a minus, the one that sees all of them."""

BELOW_THE_CACHE = 950
"""Between Scrapy's HTTP cache (900) and the network."""

FIRST = -1000
"""The extension that is made before all others: the job is owned before any other uses the JOBDIR."""

DEDUP = 50
"""The pipeline that drops duplicates: before those of the project, which need not work on them."""

ADDED = (
    ("EXTENSIONS", T8Checkpoint, FIRST),
    ("EXTENSIONS", T8FeedExporter, 0),
    ("EXTENSIONS", T8JobStats, 0),
    ("EXTENSIONS", T8ThrottleState, 0),
    ("EXTENSIONS", T8GracefulStop, 0),
    ("EXTENSIONS", T8Expectations, 0),
    ("EXTENSIONS", T8Report, 0),
    ("SPIDER_MIDDLEWARES", T8StartMiddleware, OUTERMOST),
    ("SPIDER_MIDDLEWARES", T8FailureMiddleware, INNERMOST),
    ("DOWNLOADER_MIDDLEWARES", T8RetryCacheMiddleware, BELOW_THE_CACHE),
    ("ITEM_PIPELINES", T8ItemCounterPipeline, -LAST),
    ("ITEM_PIPELINES", T8DedupPipeline, DEDUP),
    ("ITEM_PIPELINES", T8ChangesPipeline, LAST - 1),
    ("ITEM_PIPELINES", T8ValidationPipeline, LAST),
)
"""Components that are added: the setting, the component, its priority."""

INSTEAD = (
    ("EXTENSIONS", SpiderState, T8SpiderState),
    ("EXTENSIONS", CloseSpider, T8CloseSpider),
    ("DOWNLOADER_MIDDLEWARES", RetryMiddleware, T8RetryMiddleware),
    ("DOWNLOADER_MIDDLEWARES", CookiesMiddleware, T8CookiesMiddleware),
    ("DOWNLOADER_MIDDLEWARES", HttpCompressionMiddleware, T8HttpCompressionMiddleware),
    ("DOWNLOADER_MIDDLEWARES", RobotsTxtMiddleware, T8RobotsTxtMiddleware),
)
"""Components that take the place of Scrapy's: the setting, Scrapy's component, the one that replaces it."""


class T8Addon:
    """``ADDONS = {"scrapy_t8.T8Addon": 500}`` turns everything on.

    Settings of the project stay: its own scheduler disables T8, with a warning. Commands that inspect one
    page (``scrapy shell``, ``fetch``, ``parse``, ...) are left alone.
    """

    def __repr__(self) -> str:
        return "scrapy_t8.T8Addon"

    def update_settings(self, settings: BaseSettings) -> None:
        if scrapy_private.is_inspection_command():
            raise NotConfigured
        scheduler = _set_by_project(settings, "SCHEDULER", T8Scheduler)
        if scheduler is not None:
            if settings.getbool("T8_EXIT_STATUS"):
                scrapy_private.set_exit_status(scheduler, INCOMPLETE)
            raise NotConfigured(
                f"SCHEDULER is {scheduler}, so scrapy_t8 is disabled: this crawl will not survive a kill"
            )
        settings.set("SCHEDULER", _path(T8Scheduler), "addon")
        _set_dupefilter(settings)
        own_exporter = _own_exporter(settings)
        for name, component, priority in ADDED:
            if component is T8FeedExporter and own_exporter is not None:
                continue  # two exporters would write each item twice
            settings.setdefault_in_component_priority_dict(name, component, priority)
        settings.set_in_component_priority_dict("EXTENSIONS", FeedExporter, None)
        for name, theirs, ours in INSTEAD:
            _replace(settings, name, theirs, ours)
        _name_by_paths(settings)


def _path(component: type) -> str:
    """Return the path under which settings name a component of this package."""
    return f"scrapy_t8.{component.__name__}"


def _name_by_paths(settings: BaseSettings) -> None:
    """Name the components of this package by their paths, as Scrapy's are named in the log."""
    ours = {component for _, component, _ in ADDED} | {component for _, _, component in INSTEAD}
    for name in sorted({name for name, _, _ in (*ADDED, *INSTEAD)}):
        components = {_path(key) if key in ours else key: value for key, value in settings.getdict(name).items()}
        settings.set(name, components, settings.getpriority(name) or 0)


def _set_dupefilter(settings: BaseSettings) -> None:
    dupefilter = _set_by_project(settings, "DUPEFILTER_CLASS", T8DupeFilter)
    if dupefilter is None:
        settings.set("DUPEFILTER_CLASS", _path(T8DupeFilter), "addon")
    elif not issubclass(load_object(dupefilter), RFPDupeFilter):
        logger.warning(
            "DUPEFILTER_CLASS is set to %s, and its seen-set is not part of T8's commits: after a kill a request may "
            "pass it twice",
            dupefilter,
        )


def _own_exporter(settings: BaseSettings) -> type | None:
    """Return the project's own feed exporter, or None."""
    for component, priority in settings.getdict("EXTENSIONS").items():
        found = load_object(component)
        if priority is None or found in (FeedExporter, T8FeedExporter) or not isinstance(found, type):
            continue
        if issubclass(found, FeedExporter):
            if not issubclass(found, T8FeedExporter):
                logger.warning(
                    "EXTENSIONS has %s.%s, which writes the feeds in the place of T8FeedExporter: a kill may lose or "
                    "double items. Derive that class from scrapy_t8.T8FeedExporter",
                    found.__module__,
                    found.__qualname__,
                )
            return found
    return None


def _replace(settings: BaseSettings, name: str, theirs: type, ours: type) -> None:
    """Put *ours* in the place of a component of Scrapy. Where the project has switched that off, it stays off."""
    priority = {
        load_object(component): priority
        for setting in (f"{name}_BASE", name)
        for component, priority in settings.getdict(setting).items()
    }.get(theirs)
    if priority is not None:
        settings.set_in_component_priority_dict(name, theirs, None)
        settings.setdefault_in_component_priority_dict(name, ours, priority)


def _set_by_project(settings: BaseSettings, name: str, ours: type) -> Any:
    """Return the project's own value of a setting that T8 would set, or None."""
    value = settings[name]
    if (settings.getpriority(name) or 0) <= SETTINGS_PRIORITIES["addon"] or load_object(value) is ours:
        return None
    return value
