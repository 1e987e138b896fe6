"""Spiders that know where they are. Each is to be subclassed; :class:`T8SpiderMixin` gives any spider ``self.t8``."""

from __future__ import annotations

from .base import T8SpiderMixin
from .detail import DetailSpider
from .handle import JobHandle
from .list import ListSpider
from .media import MediaSpider

__all__ = ["DetailSpider", "JobHandle", "ListSpider", "MediaSpider", "T8SpiderMixin"]
