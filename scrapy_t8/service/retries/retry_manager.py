"""The retry service: looks for tasks that are due and has their handlers try them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Lock, Thread, current_thread
from typing import Any, TypeVar

from scrapy_t8.config.settings import Config
from scrapy_t8.errors import ConfigError, T8Error, remedy
from scrapy_t8.service.logs import logger
from scrapy_t8.service.state_manager import StateManager
from scrapy_t8.stores.shared.tasks import SQLiteTasks
from scrapy_t8.utils.checked import checked_text
from scrapy_t8.utils.handler_call import Handler
from scrapy_t8.utils.text import one_line, printable
from scrapy_t8.utils.threads import MORE_THREADS, OneThread, run_blocking

from .failed_tasks import ANY, FailedTasks
from .running_handlers import RunningHandlers

T = TypeVar("T")

STOP_PATIENCE = 5.0
"""Seconds beyond its grace that a stop may take."""


class RetryManager:
    """Tries the failed tasks of a state again, in a thread with an event loop of its own.

    Every ``retry_check_interval`` seconds, and when a task is due that is known of, up to ``max_workers`` handlers are
    called. A task is leased meanwhile: no other process has it. A task that succeeds leaves the queue; one that fails
    is due again later, or given up, by ``T8_RETRY_*``. A handler that gives no answer within
    ``T8_RETRY_HANDLER_TIMEOUT`` seconds has failed; its task is not tried again before the handler has ended.

    :param clock: the time, in Unix seconds.
    :param after_check: called after each regular look for due tasks.
    """

    def __init__(
        self,
        state_manager: StateManager,
        config: Config | None = None,
        *,
        clock: Callable[[], float] = time.time,
        after_check: Callable[[], None] = lambda: None,
    ) -> None:
        self._state = state_manager
        self._config = config or state_manager.config
        self._clock = clock
        self._after_check = after_check
        self._handlers: dict[str, Handler] = {}
        self._unhandled: set[str] = set()
        """Task types without a handler that a warning was logged for."""
        self._lock = Lock()
        self._thread: Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: asyncio.Event | None = None
        self._work: OneThread | None = None
        self._stopping = False
        self._grace = 0.0
        self._next_look = float("inf")
        self._running = RunningHandlers(
            state_manager,
            self._config,
            clock=clock,
            aside=self._aside,
            wake=self.wake,
            is_patient=lambda: self._loop is not None and not self._stopping,
        )
        state_manager.on_new_task(self._wake_for)

    def register_retry_handler(self, task_type: str, handler: Handler) -> None:
        """Have *handler* do the retries of *task_type* from now on.

        :param handler: called with the target and a copy of the metadata, plain or async; True is success.
        :raises FormatError: if *task_type* is no text.
        :raises ConfigError: if *handler* cannot be called.
        """
        checked_text("task_type", task_type)
        if not callable(handler):
            raise ConfigError(f"the retry handler of {task_type} is {handler!r}, which cannot be called")
        self._handlers[task_type] = handler
        self._unhandled.discard(task_type)
        self.wake()

    # -- begin and end -------------------------------------------------------------------------------------------------

    @property
    def is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def waiting_types(self) -> set[str]:
        """Return the task types that have a handler, and tasks that wait or are being retried."""
        return self._stored.slots() & set(self._handlers)

    def start(self) -> bool:
        """Begin to retry. Return whether it does: not with ``enable_auto_retry`` off.

        :raises T8Error: if the state cannot be opened, or the machine allows no thread for the service.
        """
        self._state.open()
        with self._lock:
            if self.is_running:
                logger.info("The retry service is running already")
                return True
            if not self._config.enable_auto_retry:
                logger.warning("T8_ENABLE_AUTO_RETRY is off: failed tasks are collected, but not retried")
                return False
            self._begin()
        message = "The retry service has started: a look every %g s, up to %d handlers at once"
        logger.info(message, self._config.retry_check_interval, self._config.max_workers)
        return True

    def _begin(self) -> None:
        """Start the thread of the service, and wait until it serves."""
        self._stopping, self._failure = False, ""
        begun = Event()
        try:
            thread = Thread(target=self._main, args=(begun,), name="t8-retry-service", daemon=True)
            thread.start()
        except RuntimeError as error:
            raise T8Error(f"the retry service cannot start: {error}. {MORE_THREADS}") from None
        begun.wait()
        if self._failure:
            raise T8Error(f"the retry service cannot start: {self._failure}")
        self._thread = thread

    def stop(self, timeout: float | None = None) -> None:
        """Stop retrying. After *timeout* seconds (None: ``T8_STOP_GRACE``), give back the tasks of running handlers."""
        with self._lock:
            if self._thread is None:
                return
            self._grace = self._config.stop_grace if timeout is None else timeout
            self._stopping = True
            self.wake()
            if self._thread is current_thread():
                return
            self._thread.join(self._grace + STOP_PATIENCE)
            if self._thread.is_alive():
                logger.error("The retry service does not stop: an async handler blocks its event loop")
            else:
                logger.info("The retry service has stopped")
            self._thread = None

    def wake(self) -> None:
        """Look for due tasks now."""
        loop, wake = self._loop, self._wake
        if loop is not None and wake is not None:
            with suppress(RuntimeError):  # it has just ended
                loop.call_soon_threadsafe(wake.set)

    def run_due(self) -> int:
        """Try the tasks that are due now, once, in this thread, and wait for them. Return how many tasks were tried.

        For programs that run now and then, as by cron, in place of :meth:`start`.
        """
        if self.is_running:
            raise T8Error("the retry service is running: it tries due tasks by itself")
        self._state.open()
        return run_blocking(self._run_due)

    def _wake_for(self, task_type: str, due: float) -> None:
        if due < self._next_look and (task_type == ANY or task_type in self._handlers):
            self.wake()

    # -- the loop ------------------------------------------------------------------------------------------------------

    @property
    def _tasks(self) -> FailedTasks:
        return self._state.parts.tasks

    @property
    def _stored(self) -> SQLiteTasks:
        return self._state.parts.context.stored_tasks

    def _main(self, begun: Event) -> None:
        serving = self._serve(begun)
        try:
            asyncio.run(serving)
        except Exception as error:
            if begun.is_set():
                logger.exception("The retry service has failed. Tasks are safe, and wait for the next start")
            self._failure = f"{error}. {remedy(error)}" if isinstance(error, OSError) else one_line(repr(error))
        finally:
            serving.close()
            self._loop = self._wake = None
            begun.set()

    async def _serve(self, begun: Event) -> None:
        self._loop, self._wake = asyncio.get_running_loop(), asyncio.Event()
        self._work = OneThread("t8-retry-store")
        begun.set()
        try:
            await self._look_until_stopped()
            await self._running.finish(self._grace)
        finally:
            self._work.close()
            self._work = None

    async def _look_until_stopped(self) -> None:
        assert self._wake is not None
        next_check = 0.0
        while not self._stopping:
            self._wake.clear()
            self._next_look = float("inf")  # any task that is added while we look has to wake us
            interval = self._config.retry_check_interval
            try:
                if time.monotonic() >= next_check:
                    next_check = time.monotonic() + interval
                    await self._aside(self._check)
                await self._start_due()
                pause = await self._pause()
            except Exception as error:
                trace = None if isinstance(error, T8Error) else error
                logger.error("%s. The retry service searches again in %g s", error, interval, exc_info=trace)
                pause = interval
            pause = max(0.0, min(pause, next_check - time.monotonic()))
            self._next_look = self._clock() + pause
            message = "Searched for due tasks: %d handlers running, the next search in %.3g s"
            logger.debug(message, self._running.count, pause)
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._wake.wait(), pause)

    async def _aside(self, function: Callable[..., T], *args: Any) -> T:
        """Return what *function* returns, which uses the store."""
        return function(*args) if self._work is None else await self._work.call(function, *args)

    async def _run_due(self) -> int:
        count = 0
        await self._aside(self._check)
        while started := await self._start_due():
            count += started
            await self._running.wait()
        return count

    def _check(self) -> None:
        """Do the work that is due every ``retry_check_interval`` seconds."""
        self._running.restore_workers()
        self._tasks.break_leases()
        self._state.prune()
        for task_type in sorted(self._stored.slots() - set(self._handlers) - self._unhandled):
            self._unhandled.add(task_type)
            what = f"Register one with retry_manager.register_retry_handler({task_type!r}, handler)"
            logger.warning("Tasks of the type %s wait: no handler is registered for it. %s", printable(task_type), what)
        self._after_check()

    async def _start_due(self) -> int:
        """Start the handlers of due tasks, as far as there are workers. Return how many."""
        await self._running.fail_overdue()
        self._running.warn_of_shortage()
        free = self._running.free_workers
        if free <= 0 or not self._handlers:
            return 0
        leased = await self._aside(self._tasks.lease, list(self._handlers), free)
        for task in leased:
            self._running.start(task, self._handlers[task.record.task_type])
        return len(leased)

    async def _pause(self) -> float:
        """Return the seconds until the next look, unless something wakes us earlier."""
        if self._running.free_workers <= 0:
            return self._config.retry_check_interval
        due = await self._aside(self._stored.next_due, list(self._handlers))
        return self._config.retry_check_interval if due is None else max(0.0, due - self._clock())
