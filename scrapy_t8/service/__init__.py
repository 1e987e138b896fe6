"""The same store for collectors that are no Scrapy spiders: resume points, failed tasks and their retries."""

from __future__ import annotations

from scrapy_t8.service.retries.retry_manager import RetryManager

from .facade import T8ResumeAndRetry
from .state_manager import StateManager

__all__ = ["RetryManager", "StateManager", "T8ResumeAndRetry"]
