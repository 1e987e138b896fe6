"""Sees item pipelines that keep rows in memory: at a kill these rows are lost, although their pages are done."""

from __future__ import annotations

import asyncio
import queue
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from scrapy.crawler import Crawler

from scrapy_t8.core import scrapy_private
from scrapy_t8.core.job.commit_loop import HOOK
from scrapy_t8.utils.classes import path_of
from scrapy_t8.utils.log.loggers import get_logger

logger = get_logger(__name__)

QUEUES = (queue.Queue, asyncio.Queue)
FOREIGN = ("scrapy", "scrapy_t8")
"""Packages whose pipelines keep nothing."""


class Buffer(NamedTuple):
    """What a pipeline keeps in one of its attributes."""

    pipeline: str
    attribute: str
    length: int


class Buffers:
    """The lists and queues of some item pipelines. Each pipeline is named once."""

    def __init__(self, pipelines: Sequence[Any]) -> None:
        self._pipelines = list(pipelines)
        self._least: dict[tuple[int, str], int] = {}

    def __bool__(self) -> bool:
        return bool(self._pipelines)

    def overfull(self, under_way: int) -> list[Buffer]:
        """Return what has grown by more entries than items are *under way*: entries of items that are through."""
        found = []
        for pipeline in list(self._pipelines):
            for attribute, value in list(vars(pipeline).items()):
                length = _length(value)
                if length is None:
                    continue
                least = min(self._least.get((id(pipeline), attribute), length), length)
                self._least[id(pipeline), attribute] = least
                if length > least + under_way:
                    name = path_of(type(pipeline))
                    found.append(Buffer(name, attribute, length))
                    self._pipelines.remove(pipeline)
                    break
        return found


class BufferWatch:
    """Looks at the pipelines of the project with each commit, and warns of those that keep rows."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._buffers: Buffers | None = None

    def dump(self, *, force: bool) -> Mapping[str, bytes]:
        """Warn of pipelines that keep rows. There is nothing to store."""
        if self._buffers is None:
            self._buffers = Buffers(_own_pipelines(self._crawler))
        if self._buffers and not force:
            under_way = scrapy_private.items_in_pipelines(self._crawler)
            for found in self._buffers.overfull(under_way):
                logger.warning(
                    "%s keeps %d rows in %r, and %d items are under way: if it writes them later, a kill loses them "
                    "although their pages are done. See 'A pipeline that collects rows' in scrapy t8 help pipelines",
                    found.pipeline,
                    found.length,
                    found.attribute,
                    under_way,
                )
        return {}


def _own_pipelines(crawler: Crawler) -> list[Any]:
    """Return the item pipelines that the project has made itself, without those that commit what they keep."""
    own = [
        pipeline
        for pipeline in scrapy_private.item_pipelines(crawler)
        if type(pipeline).__module__.partition(".")[0] not in FOREIGN and not hasattr(pipeline, HOOK)
    ]
    return [pipeline for pipeline in own if hasattr(pipeline, "__dict__")]


def _length(value: Any) -> int | None:
    """Return how much a list or a queue holds; None for any other value."""
    if isinstance(value, (list, deque)):
        return len(value)
    return value.qsize() if isinstance(value, QUEUES) else None
