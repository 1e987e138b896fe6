"""Makes a Scrapy crawl safe to kill: nothing lost, nothing twice, never "finished" when it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .addon import T8Addon
from .checkpoint import T8Checkpoint
from .config import Config, get_config
from .deadletters import DeadLetters, open_dead_letters
from .errors import T8Error
from .failure import RetryPage
from .feeds import T8FeedExporter
from .heal import Healing, heal
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
from .signals import t8_alert
from .start import T8StartMiddleware
from .states import ResumePoints, open_resume_points
from .tasks import FailedTask

if TYPE_CHECKING:
    from .service import RetryManager, StateManager, T8ResumeAndRetry
    from .sqldatabase import SQLDatabase

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


def __getattr__(name: str) -> Any:
    # A crawl does not need the service, and should not wait for it.
    if name in ("RetryManager", "StateManager", "T8ResumeAndRetry"):
        from . import service

        return getattr(service, name)
    if name == "SQLDatabase":
        from .sqldatabase import SQLDatabase

        return SQLDatabase
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
