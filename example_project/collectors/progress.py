"""The progress of a collector whose parts end in any order."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

from scrapy_t8 import T8ResumeAndRetry
from scrapy_t8.core.watermark import Watermark


class Progress:
    """Moves the resume point of one task type past what is done or is a failed task, and never past anything else.

    With ten pages at once, page 7 may be done before page 3. A point at 7 would skip 3 after a kill, so the point stays
    at the watermark: the last position with nothing open below it. What was done beyond it is done again.

    :param save: stores a resume point at a position with this name.
    """

    def __init__(self, t8: T8ResumeAndRetry, task_type: str, begin: int, *, save: Callable[[int, str], None]) -> None:
        self._t8 = t8
        self._task_type = task_type
        self._save = save
        self._watermark = Watermark(begin)
        # After a kill the same position may fail again although its task is in the queue already.
        tasks = [*t8.state_manager.failed_tasks(task_type), *t8.state_manager.dead_tasks(task_type)]
        self._queued = {task.target for task in tasks}

    def done(self, position: int, name: str) -> None:
        """Count a position as done. What was collected there must have been stored before."""
        if self._watermark.settle(position, {"name": name}):
            self._save(self._watermark.low, self._watermark.value["name"])

    def failed(self, position: int, name: str, error: Exception) -> None:
        """Have a position tried again later, without waiting for it. The task is stored before the point moves."""
        if name not in self._queued:
            self._t8.add_failed_task(self._task_type, name, f"{type(error).__name__}: {error}", {"position": position})
        self.done(position, name)


async def several(parts: Iterator[tuple[int, str]], work: Callable[[int, str], Awaitable[None]], at_once: int) -> None:
    """Do *work* on all *parts*, up to *at_once* at the same time."""

    async def worker() -> None:
        for position, name in parts:
            await work(position, name)

    await asyncio.gather(*(worker() for _ in range(at_once)))
