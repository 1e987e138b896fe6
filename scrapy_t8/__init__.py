"""Makes a Scrapy crawl safe to kill: nothing lost, nothing twice, never "finished" when it is not."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .addon import T8Addon
    from .components.downloadermiddlewares.cookies import T8CookiesMiddleware
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
    from .components.signals import t8_alert
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
    from .validation.sql_database import SQLDatabase
    from .validation.validator import ResumeValidator

__version__ = "0.1.0"

__all__ = [
    "CollectionState",
    "Config",
    "DeadLetters",
    "FailedTask",
    "Healing",
    "LetterFilter",
    "ResumePoint",
    "ResumePoints",
    "ResumeValidator",
    "RetryManager",
    "RetryPage",
    "SQLDatabase",
    "StateManager",
    "T8Addon",
    "T8ChangesPipeline",
    "T8Checkpoint",
    "T8CloseSpider",
    "T8CookiesMiddleware",
    "T8DedupPipeline",
    "T8DupeFilter",
    "T8Error",
    "T8Expectations",
    "T8FailureMiddleware",
    "T8FeedExporter",
    "T8FifoQueue",
    "T8FilesPipeline",
    "T8GracefulStop",
    "T8ImagesPipeline",
    "T8ItemCounterPipeline",
    "T8JobStats",
    "T8LifoQueue",
    "T8Report",
    "T8ResumeAndRetry",
    "T8RetryCacheMiddleware",
    "T8RetryMiddleware",
    "T8RobotsTxtMiddleware",
    "T8Scheduler",
    "T8SpiderState",
    "T8StartMiddleware",
    "T8ThrottleState",
    "T8ValidationPipeline",
    "Watermark",
    "get_config",
    "heal",
    "open_dead_letters",
    "open_resume_points",
    "read_report",
    "summary",
    "t8_alert",
    "write_report",
]

HOMES = {
    "CollectionState": "model.resume_point",
    "Config": "config.settings",
    "DeadLetters": "core.offline.dead_letters",
    "FailedTask": "model.failed_task",
    "Healing": "core.offline.heal",
    "LetterFilter": "model.dead_letter",
    "ResumePoint": "model.resume_point",
    "ResumePoints": "core.offline.resume_points",
    "ResumeValidator": "validation.validator",
    "RetryManager": "service",
    "RetryPage": "core.retry.failure",
    "SQLDatabase": "validation.sql_database",
    "StateManager": "service",
    "T8Addon": "addon",
    "T8ChangesPipeline": "pipelines.dedup",
    "T8Checkpoint": "components.extensions.checkpoint",
    "T8CloseSpider": "components.extensions.closespider",
    "T8CookiesMiddleware": "components.downloadermiddlewares.cookies",
    "T8DedupPipeline": "pipelines.dedup",
    "T8DupeFilter": "components.dupefilter",
    "T8Error": "errors",
    "T8Expectations": "components.extensions.expectations",
    "T8FailureMiddleware": "components.spidermiddlewares.failures",
    "T8FeedExporter": "components.feeds.exporter",
    "T8FifoQueue": "components.queues",
    "T8FilesPipeline": "pipelines.media",
    "T8GracefulStop": "components.extensions.shutdown",
    "T8ImagesPipeline": "pipelines.media",
    "T8ItemCounterPipeline": "pipelines.counting",
    "T8JobStats": "components.extensions.stats",
    "T8LifoQueue": "components.queues",
    "T8Report": "components.extensions.report",
    "T8ResumeAndRetry": "service",
    "T8RetryCacheMiddleware": "components.downloadermiddlewares.retry",
    "T8RetryMiddleware": "components.downloadermiddlewares.retry",
    "T8RobotsTxtMiddleware": "components.downloadermiddlewares.robotstxt",
    "T8Scheduler": "components.scheduler",
    "T8SpiderState": "components.extensions.spiderstate",
    "T8StartMiddleware": "components.spidermiddlewares.start",
    "T8ThrottleState": "components.extensions.throttle",
    "T8ValidationPipeline": "pipelines.validation",
    "Watermark": "core.watermark",
    "get_config": "config.settings",
    "heal": "core.offline.heal",
    "open_dead_letters": "core.offline.dead_letters",
    "open_resume_points": "core.offline.resume_points",
    "read_report": "report.files",
    "summary": "report.summary",
    "t8_alert": "components.signals",
    "write_report": "report.files",
}
"""The module that defines each public name. A name is imported when it is asked for: Scrapy imports this package for
each of its commands, a collector has no use for a crawler, and a crawl has none for the service."""


def __getattr__(name: str) -> Any:
    if name in HOMES:
        return getattr(import_module(f".{HOMES[name]}", __name__), name)
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .utils.moved import renamed

    return renamed(sys.modules[__name__], name)


class _OldModuleFinder:
    """Asks :mod:`scrapy_t8.utils.moved` for modules of this package that nobody else has found."""

    @staticmethod
    def find_spec(fullname: str, path: Any = None, target: Any = None) -> Any:
        if not fullname.startswith(f"{__name__}."):
            return None
        from .utils.moved import find_spec

        return find_spec(fullname)


sys.meta_path.append(_OldModuleFinder)
