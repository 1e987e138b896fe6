"""Makes a Scrapy crawl safe to kill: nothing lost, nothing twice, never "finished" when it is not."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scrapy_t8.components.downloadermiddlewares.retry import T8CacheGuard, T8RetryMiddleware
    from scrapy_t8.components.dupefilter import T8DupeFilter
    from scrapy_t8.components.extensions.checkpoint import T8Checkpoint
    from scrapy_t8.components.extensions.report import T8Report
    from scrapy_t8.components.feeds.exporter import T8FeedExporter
    from scrapy_t8.components.queues import T8FifoQueue, T8LifoQueue
    from scrapy_t8.components.scheduler import T8Scheduler
    from scrapy_t8.components.signals import t8_alert
    from scrapy_t8.components.spidermiddlewares.failures import T8MishapMiddleware
    from scrapy_t8.components.spidermiddlewares.start import T8StartMiddleware
    from scrapy_t8.config.settings import Config, get_config
    from scrapy_t8.core.offline.dead_letters import DeadLetters, open_dead_letters
    from scrapy_t8.core.offline.heal import Healing, heal
    from scrapy_t8.core.offline.resume_points import ResumePoints, open_resume_points
    from scrapy_t8.core.retry.failure import RetryPage
    from scrapy_t8.model.dead_letter import Which
    from scrapy_t8.model.failed_task import FailedTask
    from scrapy_t8.model.resume_point import CollectionState, ResumePoint
    from scrapy_t8.pipelines.counting import T8EntryPipeline
    from scrapy_t8.pipelines.dedup import T8ChangesPipeline, T8DedupPipeline
    from scrapy_t8.pipelines.validation import T8ValidationPipeline
    from scrapy_t8.report.files import read_report, write_report
    from scrapy_t8.validation.sql_database import SQLDatabase
    from scrapy_t8.validation.validator import ResumeValidator

    from .addon import T8Addon
    from .errors import T8Error
    from .service import RetryManager, StateManager, T8ResumeAndRetry

__version__ = "0.1.0"

__all__ = [
    "CollectionState",
    "Config",
    "DeadLetters",
    "FailedTask",
    "Healing",
    "ResumePoint",
    "ResumePoints",
    "ResumeValidator",
    "RetryManager",
    "RetryPage",
    "SQLDatabase",
    "StateManager",
    "T8Addon",
    "T8CacheGuard",
    "T8ChangesPipeline",
    "T8Checkpoint",
    "T8DedupPipeline",
    "T8DupeFilter",
    "T8EntryPipeline",
    "T8Error",
    "T8FeedExporter",
    "T8FifoQueue",
    "T8LifoQueue",
    "T8MishapMiddleware",
    "T8Report",
    "T8ResumeAndRetry",
    "T8RetryMiddleware",
    "T8Scheduler",
    "T8StartMiddleware",
    "T8ValidationPipeline",
    "Which",
    "get_config",
    "heal",
    "open_dead_letters",
    "open_resume_points",
    "read_report",
    "t8_alert",
    "write_report",
]

HOMES = {
    "CollectionState": "model.resume_point",
    "Config": "config.settings",
    "DeadLetters": "core.offline.dead_letters",
    "FailedTask": "model.failed_task",
    "Healing": "core.offline.heal",
    "ResumePoint": "model.resume_point",
    "ResumePoints": "core.offline.resume_points",
    "ResumeValidator": "validation.validator",
    "RetryManager": "service",
    "RetryPage": "core.retry.failure",
    "SQLDatabase": "validation.sql_database",
    "StateManager": "service",
    "T8Addon": "addon",
    "T8CacheGuard": "components.downloadermiddlewares.retry",
    "T8ChangesPipeline": "pipelines.dedup",
    "T8Checkpoint": "components.extensions.checkpoint",
    "T8DedupPipeline": "pipelines.dedup",
    "T8DupeFilter": "components.dupefilter",
    "T8EntryPipeline": "pipelines.counting",
    "T8Error": "errors",
    "T8FeedExporter": "components.feeds.exporter",
    "T8FifoQueue": "components.queues",
    "T8LifoQueue": "components.queues",
    "T8MishapMiddleware": "components.spidermiddlewares.failures",
    "T8Report": "components.extensions.report",
    "T8ResumeAndRetry": "service",
    "T8RetryMiddleware": "components.downloadermiddlewares.retry",
    "T8Scheduler": "components.scheduler",
    "T8StartMiddleware": "components.spidermiddlewares.start",
    "T8ValidationPipeline": "pipelines.validation",
    "Which": "model.dead_letter",
    "get_config": "config.settings",
    "heal": "core.offline.heal",
    "open_dead_letters": "core.offline.dead_letters",
    "open_resume_points": "core.offline.resume_points",
    "read_report": "report.files",
    "t8_alert": "components.signals",
    "write_report": "report.files",
}
"""Where each name is defined. It is imported when it is asked for: Scrapy imports this package for each of its
commands, a collector has no use for a crawler, and a crawl has none for the service."""


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{HOMES[name]}", __name__), name)
