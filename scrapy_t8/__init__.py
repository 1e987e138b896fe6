"""Makes a Scrapy crawl safe to kill: nothing lost, nothing twice, never "finished" when it is not."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .addon import T8Addon
    from .checkpoint import T8Checkpoint
    from .config import Config, get_config
    from .deadletters import DeadLetters, open_dead_letters
    from .errors import T8Error
    from .failure import RetryPage
    from .feeds import T8FeedExporter
    from .healing import Healing, heal
    from .integrity.validators import ResumeValidator
    from .mishaps import T8MishapMiddleware
    from .model import Which
    from .pipelines.dedup import T8ChangesPipeline, T8DedupPipeline
    from .pipelines.entry import T8EntryPipeline
    from .pipelines.validation import T8ValidationPipeline
    from .report.extension import T8Report
    from .report.files import read_report, write_report
    from .resume import CollectionState, ResumePoint
    from .retry import T8CacheGuard, T8RetryMiddleware
    from .scheduler import T8DupeFilter, T8FifoQueue, T8LifoQueue, T8Scheduler
    from .service import RetryManager, StateManager, T8ResumeAndRetry
    from .signals import t8_alert
    from .sqldatabase import SQLDatabase
    from .start import T8StartMiddleware
    from .states import ResumePoints, open_resume_points
    from .tasks import FailedTask

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
    "CollectionState": "resume",
    "Config": "config",
    "DeadLetters": "deadletters",
    "FailedTask": "tasks",
    "Healing": "healing",
    "ResumePoint": "resume",
    "ResumePoints": "states",
    "ResumeValidator": "integrity.validators",
    "RetryManager": "service",
    "RetryPage": "failure",
    "SQLDatabase": "sqldatabase",
    "StateManager": "service",
    "T8Addon": "addon",
    "T8CacheGuard": "retry",
    "T8ChangesPipeline": "pipelines.dedup",
    "T8Checkpoint": "checkpoint",
    "T8DedupPipeline": "pipelines.dedup",
    "T8DupeFilter": "scheduler",
    "T8EntryPipeline": "pipelines.entry",
    "T8Error": "errors",
    "T8FeedExporter": "feeds",
    "T8FifoQueue": "scheduler",
    "T8LifoQueue": "scheduler",
    "T8MishapMiddleware": "mishaps",
    "T8Report": "report.extension",
    "T8ResumeAndRetry": "service",
    "T8RetryMiddleware": "retry",
    "T8Scheduler": "scheduler",
    "T8StartMiddleware": "start",
    "T8ValidationPipeline": "pipelines.validation",
    "Which": "model",
    "get_config": "config",
    "heal": "healing",
    "open_dead_letters": "deadletters",
    "open_resume_points": "states",
    "read_report": "report.files",
    "t8_alert": "signals",
    "write_report": "report.files",
}
"""Where each name is defined. It is imported when it is asked for: Scrapy imports this package for each of its
commands, a collector has no use for a crawler, and a crawl has none for the service."""


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{HOMES[name]}", __name__), name)
