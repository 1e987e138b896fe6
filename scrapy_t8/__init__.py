"""Makes a Scrapy crawl safe to kill: nothing lost, nothing twice, never "finished" when it is not."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .addon import T8Addon
    from .components.downloadermiddlewares.cookies import T8CookiesMiddleware
    from .components.downloadermiddlewares.httpcompression import T8HttpCompressionMiddleware
    from .components.downloadermiddlewares.retry import T8RetryCacheMiddleware, T8RetryMiddleware
    from .components.downloadermiddlewares.robotstxt import T8RobotsTxtMiddleware
    from .components.dupefilter import T8DupeFilter
    from .components.extensions.checkpoint import T8Checkpoint
    from .components.extensions.closespider import T8CloseSpider
    from .components.extensions.expectations import T8Expectations
    from .components.extensions.report import T8Report
    from .components.extensions.shutdown import T8GracefulStop
    from .components.extensions.spiderstate import T8SpiderState
    from .components.extensions.stats import T8JobStats
    from .components.extensions.throttle import T8ThrottleState
    from .components.feeds.exporter import T8FeedExporter
    from .components.queues import T8FifoQueue, T8LifoQueue
    from .components.scheduler import T8Scheduler
    from .components.signals import t8_alert, t8_run_ended
    from .components.spidermiddlewares.failures import T8FailureMiddleware
    from .components.spidermiddlewares.start import T8StartMiddleware
    from .config.settings import Config, get_config
    from .core.offline.dead_letters import DeadLetters, open_dead_letters
    from .core.offline.heal import Healing, heal
    from .core.offline.resume_points import ResumePoints, open_resume_points
    from .core.retry.failure import RetryPage
    from .core.watermark import Watermark
    from .errors import T8Error
    from .model.dead_letter import LetterFilter
    from .model.failed_task import FailedTask
    from .model.resume_point import CollectionState, ResumePoint
    from .pipelines.counting import T8ItemCounterPipeline
    from .pipelines.dedup import T8ChangesPipeline, T8DedupPipeline
    from .pipelines.media import T8FilesPipeline, T8ImagesPipeline
    from .pipelines.validation import T8ValidationPipeline
    from .report.files import read_report, write_report
    from .report.summary import summary
    from .service import RetryManager, StateManager, T8ResumeAndRetry
    from .utils import __version__ as __version__
    from .validation.sql_database import SQLDatabase
    from .validation.validator import ResumeValidator


# fmt: off
__all__ = [
    "CollectionState", "Config", "DeadLetters", "FailedTask", "Healing", "LetterFilter", "ResumePoint",
    "ResumePoints", "ResumeValidator", "RetryManager", "RetryPage", "SQLDatabase", "StateManager", "T8Addon",
    "T8ChangesPipeline", "T8Checkpoint", "T8CloseSpider", "T8CookiesMiddleware", "T8DedupPipeline", "T8DupeFilter",
    "T8Error", "T8Expectations", "T8FailureMiddleware", "T8FeedExporter", "T8FifoQueue", "T8FilesPipeline",
    "T8GracefulStop", "T8HttpCompressionMiddleware", "T8ImagesPipeline", "T8ItemCounterPipeline", "T8JobStats",
    "T8LifoQueue", "T8Report", "T8ResumeAndRetry", "T8RetryCacheMiddleware", "T8RetryMiddleware",
    "T8RobotsTxtMiddleware", "T8Scheduler", "T8SpiderState", "T8StartMiddleware", "T8ThrottleState",
    "T8ValidationPipeline", "Watermark", "get_config", "heal", "open_dead_letters", "open_resume_points",
    "read_report", "summary", "t8_alert", "t8_run_ended", "write_report",
]
# fmt: on

HOMES = {
    name: module
    for module, names in (
        ("addon", "T8Addon"),
        ("components.downloadermiddlewares.cookies", "T8CookiesMiddleware"),
        ("components.downloadermiddlewares.httpcompression", "T8HttpCompressionMiddleware"),
        ("components.downloadermiddlewares.retry", "T8RetryCacheMiddleware T8RetryMiddleware"),
        ("components.downloadermiddlewares.robotstxt", "T8RobotsTxtMiddleware"),
        ("components.dupefilter", "T8DupeFilter"),
        ("components.extensions.checkpoint", "T8Checkpoint"),
        ("components.extensions.closespider", "T8CloseSpider"),
        ("components.extensions.expectations", "T8Expectations"),
        ("components.extensions.report", "T8Report"),
        ("components.extensions.shutdown", "T8GracefulStop"),
        ("components.extensions.spiderstate", "T8SpiderState"),
        ("components.extensions.stats", "T8JobStats"),
        ("components.extensions.throttle", "T8ThrottleState"),
        ("components.feeds.exporter", "T8FeedExporter"),
        ("components.queues", "T8FifoQueue T8LifoQueue"),
        ("components.scheduler", "T8Scheduler"),
        ("components.signals", "t8_alert t8_run_ended"),
        ("components.spidermiddlewares.failures", "T8FailureMiddleware"),
        ("components.spidermiddlewares.start", "T8StartMiddleware"),
        ("config.settings", "Config get_config"),
        ("core.offline.dead_letters", "DeadLetters open_dead_letters"),
        ("core.offline.heal", "Healing heal"),
        ("core.offline.resume_points", "ResumePoints open_resume_points"),
        ("core.retry.failure", "RetryPage"),
        ("core.watermark", "Watermark"),
        ("errors", "T8Error"),
        ("model.dead_letter", "LetterFilter"),
        ("model.failed_task", "FailedTask"),
        ("model.resume_point", "CollectionState ResumePoint"),
        ("pipelines.counting", "T8ItemCounterPipeline"),
        ("pipelines.dedup", "T8ChangesPipeline T8DedupPipeline"),
        ("pipelines.media", "T8FilesPipeline T8ImagesPipeline"),
        ("pipelines.validation", "T8ValidationPipeline"),
        ("report.files", "read_report write_report"),
        ("report.summary", "summary"),
        ("service", "RetryManager StateManager T8ResumeAndRetry"),
        ("validation.sql_database", "SQLDatabase"),
        ("validation.validator", "ResumeValidator"),
    )
    for name in names.split()
}
"""The module that defines each public name. A name is imported when it is used: Scrapy imports this package for
each of its commands, a collector has no use for a crawler, and a crawl has none for the service."""


def __getattr__(name: str) -> Any:
    if name in HOMES:
        return getattr(import_module(f".{HOMES[name]}", __name__), name)
    if name == "__version__":
        return import_module(".utils", __name__).__version__
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .utils.moved import renamed

    return renamed(sys.modules[__name__], name)


class _OldModuleFinder:
    """Finds modules of this package by their old paths, with :mod:`scrapy_t8.utils.moved`."""

    @staticmethod
    def find_spec(fullname: str, path: Any = None, target: Any = None) -> Any:
        if not fullname.startswith(f"{__name__}."):
            return None
        from .utils.moved import find_spec

        return find_spec(fullname)


sys.meta_path.append(_OldModuleFinder)
