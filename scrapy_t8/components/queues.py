"""The queues behind Scrapy's priority queue."""

from __future__ import annotations

from queuelib import queue as queuelib
from scrapy.crawler import Crawler
from scrapy.settings import BaseSettings
from scrapy.utils.misc import load_object

from scrapy_t8.core.frontier.queues import FifoQueue, FrontierQueue, LifoQueue
from scrapy_t8.core.job.job import Job
from scrapy_t8.utils.log.loggers import get_logger

logger = get_logger(__name__)

LIFO = (queuelib.LifoMemoryQueue, queuelib.LifoDiskQueue, queuelib.LifoSQLiteQueue)

FIFO = (queuelib.FifoMemoryQueue, queuelib.FifoDiskQueue, queuelib.FifoSQLiteQueue)


class T8LifoQueue(LifoQueue):
    """SCHEDULER_DISK_QUEUE, last in first out, in the job's store."""

    @classmethod
    def from_crawler(cls, crawler: Crawler, key: str) -> T8LifoQueue:
        return cls(Job.required(crawler).frontier, key, crawler.engine.downloader.get_slot_key)


class T8FifoQueue(FifoQueue):
    """SCHEDULER_DISK_QUEUE, first in first out, in the job's store."""

    @classmethod
    def from_crawler(cls, crawler: Crawler, key: str) -> T8FifoQueue:
        return cls(Job.required(crawler).frontier, key, crawler.engine.downloader.get_slot_key)


def queue_class(settings: BaseSettings, prefix: str) -> type[FrontierQueue] | None:
    """The T8 queue with the order that the project has chosen for *prefix*; None if it chose none (start requests)."""
    disk, memory = f"{prefix}_DISK_QUEUE", f"{prefix}_MEMORY_QUEUE"
    # Plain Scrapy without a JOBDIR uses the memory queue; a disk queue set on purpose comes first.
    chosen = disk if (settings.getpriority(disk) or 0) > (settings.getpriority(memory) or 0) else memory
    if not settings[chosen]:
        return None
    cls = load_object(settings[chosen])
    # LIFO first: queuelib derives its LIFO queues from the FIFO ones.
    if issubclass(cls, (T8LifoQueue, *LIFO)):
        return T8LifoQueue
    if issubclass(cls, (T8FifoQueue, *FIFO)):
        return T8FifoQueue
    logger.warning("%s is %s, whose order is unknown to T8: using last in, first out", chosen, settings[chosen])
    return T8LifoQueue
