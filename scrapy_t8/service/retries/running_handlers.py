"""The handlers of the retry service that are at work, and what becomes of their tasks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from scrapy_t8.config.settings import Config
from scrapy_t8.errors import StoreError, T8Error
from scrapy_t8.service.logs import logger
from scrapy_t8.service.state_manager import StateManager
from scrapy_t8.stores.shared.tasks import SQLiteTasks
from scrapy_t8.utils.handler_call import Handler, HandlerCall, NoThread
from scrapy_t8.utils.text import counted, printable
from scrapy_t8.utils.threads import Workers

from .failed_tasks import FailedTasks, LeasedTask


class RunningHandlers:
    """Calls the handlers of leased tasks, up to ``T8_MAX_WORKERS`` at once, and stores the result of each.

    :param clock: the time, in Unix seconds.
    :param aside: calls a function that uses the store, and returns what the function returns.
    :param wake: called when a handler has ended: there is a free worker, or a task that may be due.
    :param is_patient: whether a result that cannot be stored now may be stored later.
    """

    def __init__(
        self,
        state_manager: StateManager,
        config: Config,
        *,
        clock: Callable[[], float],
        aside: Callable[..., Awaitable[Any]],
        wake: Callable[[], None],
        is_patient: Callable[[], bool],
    ) -> None:
        self._state = state_manager
        self._config = config
        self._clock = clock
        self._aside = aside
        self._wake = wake
        self._is_patient = is_patient
        self._workers = Workers(config.max_workers, "T8_MAX_WORKERS")
        self._calls: dict[asyncio.Task[None], HandlerCall] = {}
        self._overdue: dict[int, tuple[LeasedTask, HandlerCall]] = {}
        """Handlers that have not ended in time, by the entry of the task."""

    @property
    def count(self) -> int:
        return len(self._calls)

    @property
    def free_workers(self) -> int:
        """How many more handlers may be called now."""
        return self._workers.limit - len(self._calls)

    def restore_workers(self) -> None:
        """Try again whether the machine allows all of the workers."""
        self._workers.restore()

    def warn_of_shortage(self) -> None:
        if shortage := self._workers.shortage():
            logger.warning("%s", shortage)

    # -- handlers ------------------------------------------------------------------------------------------------------

    def start(self, task: LeasedTask, handler: Handler) -> None:
        """Call *handler* for a task, in a task of the running event loop."""
        record = task.record
        message, name = "Retrying task %s, attempt %d of %d: %s", printable(record.task_id)
        logger.info(message, name, task.attempt, record.max_retries, printable(record.target))
        self._state.handler_started()
        limit, ended = self._config.retry_handler_timeout, partial(self._handler_ended, task)
        call = HandlerCall(handler, record.target, record.metadata, limit=limit, ended=ended)
        work = asyncio.get_running_loop().create_task(self._retry(task, call))
        self._calls[work] = call
        work.add_done_callback(self._retried)

    def _retried(self, work: asyncio.Task[None]) -> None:
        del self._calls[work]
        self._wake()
        if not work.cancelled() and work.exception() is not None:
            logger.error("The retry service could not record a result", exc_info=work.exception())

    async def wait(self) -> None:
        """Wait until each handler that is at work now has ended, or has taken too long."""
        await asyncio.wait(self._calls)

    async def finish(self, grace: float) -> None:
        """Wait for the handlers; after *grace* seconds give back the tasks of those that have not ended."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=grace)
        if late := list(self._calls.values()):
            for call in late:
                call.hurry()
            await asyncio.wait(self._calls)
            message = "%s given back: their handlers took longer than the %g s that a stop may take"
            logger.warning(message, counted(len(late), "task was", "tasks were"), grace)

    # -- results -------------------------------------------------------------------------------------------------------

    async def _retry(self, task: LeasedTask, call: HandlerCall) -> None:
        try:
            in_time = await call.run()
        except NoThread:
            self._workers.lose(len(self._calls))
            self._state.handler_ended()
            await self._write(lambda: self._stored.release(task.entry))
            return
        answer, ended = call.answer, call.answer is not None
        if answer is not None and answer.succeeded:
            await self._write(lambda: self._tasks.succeed(task))
        elif in_time is not None:
            await self._write(lambda: self._tasks.fail(task, in_time.error))
        elif call.is_hurried:
            # The service stops, which is not charged. A handler that has taken too long is.
            await self._write(lambda: (self._stored.release if ended else self._stored.give_back)(task.entry))
        else:
            await self._write(lambda: self._tasks.fail(task, call.no_answer, keep=not ended))
        if not ended:
            self._overdue[task.entry] = (task, call)
            if call.answer is not None:
                await self._write(lambda: self._take_late_answer(task, call))

    async def _write(self, write: Callable[[], Any]) -> None:
        """Write a result, trying until it is written: the work is done, and must not be repeated for a full disk."""
        while True:
            try:
                await self._aside(write)
                return
            except StoreError as error:
                logger.error("A result could not be written: %s", error)
                if not self._is_patient():
                    raise
                await asyncio.sleep(min(1.0, self._config.retry_check_interval))

    # -- handlers that take too long -----------------------------------------------------------------------------------

    async def fail_overdue(self) -> None:
        """Charge each handler that has not ended although its task is due again with one more failure."""
        for entry, (task, call) in list(self._overdue.items()):
            if (stored := await self._aside(self._tasks.reload, task)) is None:
                self._overdue.pop(entry, None)
            elif stored[1] <= self._clock() and time.monotonic() - call.began > self._config.retry_handler_timeout:
                error = "the retry handler is still at work on an earlier attempt"
                await self._write(partial(self._tasks.fail, stored[0], error, keep=True))

    def _handler_ended(self, task: LeasedTask, call: HandlerCall) -> None:
        """A handler has ended, in time or not, in whatever thread."""
        try:
            self._take_late_answer(task, call)
        except T8Error as error:
            logger.error("A late result could not be written: %s", error)
        finally:
            self._state.handler_ended()

    def _take_late_answer(self, task: LeasedTask, call: HandlerCall) -> None:
        if self._overdue.pop(task.entry, None) is None or not self._state.is_open or call.answer is None:
            return
        if call.answer.succeeded:
            self._tasks.succeed(task)
        else:
            self._stored.release(task.entry)
        self._wake()

    @property
    def _tasks(self) -> FailedTasks:
        return self._state.parts.tasks

    @property
    def _stored(self) -> SQLiteTasks:
        return self._state.parts.context.stored_tasks
