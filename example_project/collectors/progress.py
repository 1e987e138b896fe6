"""How far a collector is whose parts end in any order."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

from scrapy_t8 import T8ResumeAndRetry
from scrapy_t8.core.watermark import Watermark


class Progress:
    """The resume point of one task type. It moves past what is done or handed over, and never past anything else.

    With ten pages at once, page 7 may be done before page 3. A point at 7 would skip 3 after a kill: so the point stays
    at the low-water mark, the last position with nothing open below it. What was done beyond is done again.
    """

    def __init__(self, t8: T8ResumeAndRetry, task_type: str, begin: int, mark: Callable[[int, str], None]) -> None:
        self._t8 = t8
        self._task_type = task_type
        self._mark = mark
        self._track = Watermark(begin)
        # After a kill the same part may fail again: it is in the queue already.
        tasks = [*t8.state_manager.failed_tasks(task_type), *t8.state_manager.dead_tasks(task_type)]
        self._handed_over = {task.target for task in tasks}

    def done(self, position: int, name: str) -> None:
        """A position is through, and what it has brought is stored."""
        if self._track.settle(position, {"name": name}):
            self._mark(self._track.low, self._track.value["name"])

    def failed(self, position: int, name: str, error: Exception) -> None:
        """A position has failed: it is tried again later, and not waited for. First the task, then the point."""
        if name not in self._handed_over:
            self._t8.add_failed_task(self._task_type, name, f"{type(error).__name__}: {error}", {"position": position})
        self.done(position, name)


async def several(parts: Iterator[tuple[int, str]], work: Callable[[int, str], Awaitable[None]], at_once: int) -> None:
    """Do *work* on all *parts*, up to so many at once."""

    async def worker() -> None:
        for position, name in parts:
            await work(position, name)

    await asyncio.gather(*(worker() for _ in range(at_once)))
