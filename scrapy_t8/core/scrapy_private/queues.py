"""Where T8 takes a request out of the order of Scrapy's priority queues."""

from __future__ import annotations

from scrapy import Request
from scrapy.pqueues import ScrapyPriorityQueue


def pop_last(queue: ScrapyPriorityQueue) -> Request | None:
    """Take a request of the lowest priority; None if there is none."""
    queue.curprio = max([*queue.queues, *queue._start_queues], default=None)
    request = queue.pop()
    queue.curprio = min([*queue.queues, *queue._start_queues], default=None)
    return request
