"""What some tests need of the release of Scrapy that they run on."""

from __future__ import annotations

import pytest
from scrapy.utils import defer

prompt_callbacks = pytest.mark.skipif(
    hasattr(defer, "_defer_sleep_async"),
    reason="this Scrapy waits 0.1 s before each callback and fetches other pages meanwhile, also one at a time",
)
"""Marks a test about which pages are fetched before a callback runs, or in which order with one request at a time."""
