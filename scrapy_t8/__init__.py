"""Makes a Scrapy crawl safe to kill: nothing lost, nothing twice, never "finished" when it is not."""

from __future__ import annotations

from .addon import T8Addon
from .checkpoint import T8Checkpoint
from .errors import T8Error
from .feeds import T8FeedExporter
from .scheduler import T8DupeFilter, T8FifoQueue, T8LifoQueue, T8Scheduler
from .start import T8StartMiddleware

__version__ = "0.1.0"

__all__ = [
    "T8Addon",
    "T8Checkpoint",
    "T8DupeFilter",
    "T8Error",
    "T8FeedExporter",
    "T8FifoQueue",
    "T8LifoQueue",
    "T8Scheduler",
    "T8StartMiddleware",
]
