"""Base spiders with resume points. Subclass one, or give your own spider ``self.t8`` with :class:`T8SpiderMixin`."""

from __future__ import annotations

from .base import T8SpiderMixin
from .detail import DetailSpider
from .handle import JobHandle
from .list import ListSpider
from .media import MediaSpider

__all__ = ["DetailSpider", "JobHandle", "ListSpider", "MediaSpider", "T8SpiderMixin"]
