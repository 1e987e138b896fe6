"""The same store for collectors that are no Scrapy spiders: resume points, failed tasks and their retries."""

from __future__ import annotations

from .facade import T8ResumeAndRetry
from .retry_manager import RetryManager
from .state_manager import StateManager

__all__ = ["RetryManager", "StateManager", "T8ResumeAndRetry"]
