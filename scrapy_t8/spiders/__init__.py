"""Base spiders with resume points. Subclass one, or give your own spider ``self.t8`` with :class:`T8SpiderMixin`."""

from __future__ import annotations

import sys
from typing import Any

from scrapy_t8.utils.moved import renamed

from .base import T8SpiderMixin
from .detail import DetailSpider
from .handle import JobHandle
from .list import ListSpider
from .media import MediaSpider

__all__ = ["DetailSpider", "JobHandle", "ListSpider", "MediaSpider", "T8SpiderMixin"]


def __getattr__(name: str) -> Any:
    return renamed(sys.modules[__name__], name)
