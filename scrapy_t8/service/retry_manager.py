"""The retry service: looks for tasks that are due and has their handlers try them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from threading import Event, Lock, Thread, current_thread
from typing import Any

from scrapy_t8.config.settings import Config
from scrapy_t8.errors import ConfigError, StoreError, T8Error
from scrapy_t8.utils.checked import checked_text
from scrapy_t8.utils.text import printable
from scrapy_t8.utils.threads import run_blocking

from .failed_tasks import LeasedTask
from .handler_call import Handler, HandlerCall
from .logs import logger
from .state_manager import StateManager

BREATH = 0.5
"""Seconds that a cancelled coroutine has to end."""
PATIENCE = 5.0
"""Seconds beyond its grace that a stop may take."""


class RetryManager:
    """Tries the failed tasks of a state again, in a thread with an event loop of its own.

    Every ``retry_check_interval`` seconds, and when a task is due that is known of, up to ``max_workers`` handlers are
    called. A task is leased meanwhile: no other process has it. One that succeeds leaves the queue; one that fails is
    due again later, or given up, by ``T8_RETRY_*``. A handler that gives no answer within ``T8_RETRY_HANDLER_TIMEOUT``
    seconds has failed; its task is not tried anew before it has ended.

    :param clock: the time, in Unix seconds.
    :param looked: called after each regular look.
    """

    def __init__(
        self,
        state_manager: StateManager,
        config: Config | None = None,
        *,
        clock: Callable[[], float] = time.time,
        looked: Callable[[], None] = lambda: None,
    ) -> None:
        self._state = state_manager
        self._config = config or state_manager.config
        self._clock = clock
        self._looked = looked
        self._handlers: dict[str, Handler] = {}
        self._unhandled: set[str] = set()
        """Task types of which it was said that nobody handles them."""
        self._lock = Lock()
        self._thread: Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: asyncio.Event | None = None
        self._stopping = False
        self._grace = 0.0
        self._next_look = float("inf")
        self._running: dict[asyncio.Task[None], HandlerCall | None] = {}
        self._overdue: dict[int, tuple[LeasedTask, HandlerCall]] = {}
        """Tasks whose handlers were given up and have not ended."""
        state_manager.on_new_task(self._expect)

    def register_retry_handler(self, task_type: str, handler: Handler) -> None:
        """From now on *handler* does the retries of *task_type*.

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

    @property
    def is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    # -- from other threads --------------------------------------------------------------------------------------

    def start(self) -> bool:
        """Begin to retry. Returns whether it does: not with ``enable_auto_retry`` off.

        :raises T8Error: if the state cannot be opened.
        """
        self._state.open()
        with self._lock:
            if self.is_running:
                logger.info("The retry service is running already")
                return True
            if not self._config.enable_auto_retry:
                logger.warning("T8_ENABLE_AUTO_RETRY is off: failed tasks are collected, but not retried")
                return False
            self._stopping = False
            begun = Event()
            self._thread = Thread(target=self._main, args=(begun,), name="t8-retry-service", daemon=True)
            self._thread.start()
            begun.wait()
        interval, workers = self._config.retry_check_interval, self._config.max_workers
        logger.info("The retry service has started: a look every %g s, up to %d handlers at once", interval, workers)
        return True

    def stop(self, timeout: float | None = None) -> None:
        """End. Handlers that run may go on for *timeout* seconds, else ``T8_STOP_GRACE``; then tasks are given back."""
        with self._lock:
            if self._thread is None:
                return
            self._grace = self._config.stop_grace if timeout is None else timeout
            self._stopping = True
            self.wake()
            if self._thread is current_thread():
                return
            self._thread.join(self._grace + PATIENCE)
            if self._thread.is_alive():
                logger.error("The retry service does not end: an async handler blocks its event loop")
            else:
                logger.info("The retry service has stopped")
            self._thread = None

    def wake(self) -> None:
        """Look now."""
        loop, wake = self._loop, self._wake
        if loop is not None and wake is not None and self.is_running:
            try:
                loop.call_soon_threadsafe(wake.set)
            except RuntimeError:
                return  # it has just ended

    def run_due(self) -> int:
        """Try what is due now, once, in this thread, and wait for it. Returns how many tasks were tried.

        For programs that come by now and then, as from cron, in place of :meth:`start`.
        """
        if self.is_running:
            raise T8Error("the retry service is running: it tries what is due by itself")
        self._state.open()
        return run_blocking(self._run_due)

    def _expect(self, task_type: str, due: float) -> None:
        if due < self._next_look and (not task_type or task_type in self._handlers):
            self.wake()

    # -- in the thread of the service ----------------------------------------------------------------------------

    def _main(self, begun: Event) -> None:
        try:
            asyncio.run(self._serve(begun))
        except Exception:
            logger.exception("The retry service has failed. Tasks are safe, and wait for the next start")
        finally:
            self._loop = self._wake = None
            begun.set()

    async def _serve(self, begun: Event) -> None:
        self._loop, self._wake = asyncio.get_running_loop(), asyncio.Event()
        begun.set()
        regular = 0.0
        while not self._stopping:
            self._wake.clear()
            self._next_look = float("inf")  # whatever comes while we look is to be heard of
            interval = self._config.retry_check_interval
            try:
                if time.monotonic() >= regular:
                    regular = time.monotonic() + interval
                    await asyncio.to_thread(self._tidy)
                await self._look()
                pause = await self._pause()
            except T8Error as error:
                logger.error("%s. The retry service looks again in %g s", error, interval)
                pause = interval
            except Exception:
                logger.exception("The retry service looks again in %g s", interval)
                pause = interval
            pause = max(0.0, min(pause, regular - time.monotonic()))
            self._next_look = self._clock() + pause
            logger.debug("Looked for due tasks: %d at work, the next look in %.3g s", len(self._running), pause)
            await _wait(self._wake, pause)
        await self._finish()

    async def _run_due(self) -> int:
        count = 0
        await asyncio.to_thread(self._tidy)
        while started := await self._look():
            count += started
            await asyncio.wait(self._running)
        return count

    def _tidy(self) -> None:
        self._state.tasks.break_leases()
        self._state.prune()
        for task_type in sorted(self._state.tasks.waiting_types() - set(self._handlers) - self._unhandled):
            self._unhandled.add(task_type)
            logger.warning(
                "Tasks of the type %s wait: no handler is registered for it. Register one with "
                "retry_manager.register_retry_handler(%r, handler)",
                *(printable(task_type), task_type),
            )
        self._looked()

    async def _look(self) -> int:
        """Begin what is due, as far as there are workers. Returns how much that was."""
        await self._give_up_overdue()
        free = self._config.max_workers - len(self._running)
        if free <= 0 or not self._handlers:
            return 0
        leased = await asyncio.to_thread(self._state.tasks.lease, list(self._handlers), free)
        for task in leased:
            work = asyncio.get_running_loop().create_task(self._work(task))
            self._running[work] = None
            work.add_done_callback(self._done)
        return len(leased)

    async def _pause(self) -> float:
        """Seconds until there is something to do, unless something happens."""
        if len(self._running) >= self._config.max_workers:
            return self._config.retry_check_interval
        due = await asyncio.to_thread(self._state.tasks.next_due, list(self._handlers))
        return self._config.retry_check_interval if due is None else max(0.0, due - self._clock())

    def _done(self, work: asyncio.Task[None]) -> None:
        del self._running[work]
        if self._wake is not None:
            self._wake.set()
        if not work.cancelled() and work.exception() is not None:
            logger.error("The retry service could not take note of a result", exc_info=work.exception())

    async def _work(self, task: LeasedTask) -> None:
        name, attempt_number = printable(task.record.task_id), task.attempt
        message = "Retrying task %s, attempt %d of %d: %s"
        logger.info(message, name, attempt_number, task.record.max_retries, printable(task.record.target))
        handler = self._handlers[task.record.task_type]
        self._state.begin_work()
        attempt = HandlerCall(handler, task.record.target, task.record.metadata, lambda ended: self._ended(task, ended))
        me = asyncio.current_task()
        assert me is not None
        self._running[me] = attempt
        attempt.start()
        limit = self._config.retry_handler_timeout
        answer = await attempt.wait(limit)
        if answer is None:
            await self._give_up(task, attempt, limit)
        elif answer[0]:
            await self._settle(lambda: self._state.tasks.succeed(task))
        else:
            await self._settle(lambda: self._state.tasks.fail(task, answer[1]))

    async def _give_up(self, task: LeasedTask, attempt: HandlerCall, limit: float) -> None:
        """The handler has taken too long; or the service ends, which is nobody's fault."""
        answer = await attempt.cancel(BREATH)
        error = f"the retry handler gave no answer in {limit:g} s"
        tasks, ended = self._state.tasks, answer is not None
        if answer is not None and answer[0]:
            await self._settle(lambda: tasks.succeed(task))
        elif attempt.is_hurried:
            await self._settle(lambda: tasks.release(task) if ended else tasks.give_back(task))
        else:
            await self._settle(lambda: tasks.fail(task, error, keep=not ended))
        if not ended:
            self._overdue[task.entry] = (task, attempt)
            if attempt.answer is not None:
                await self._settle(lambda: self._late(task, attempt))

    async def _settle(self, settle: Callable[[], Any]) -> None:
        """Write a result down, as often as it takes: the work is done, and should not be done again for a full disk."""
        while True:
            try:
                await asyncio.to_thread(settle)
                return
            except StoreError as error:
                logger.error("A result could not be written: %s", error)
                if self._stopping or self._wake is None:
                    raise
                await asyncio.sleep(min(1.0, self._config.retry_check_interval))

    async def _give_up_overdue(self) -> None:
        """A handler that still has not ended when its task is due again has failed once more."""
        for entry, (task, attempt) in list(self._overdue.items()):
            stored = await asyncio.to_thread(self._state.tasks.reload, task)
            if stored is None:
                self._overdue.pop(entry, None)
            elif stored[1] <= self._clock() and time.monotonic() - attempt.began > self._config.retry_handler_timeout:
                error = "the retry handler is still at work on an earlier attempt"
                self._overdue[entry] = (stored[0], attempt)
                await self._settle(partial(self._state.tasks.fail, stored[0], error, keep=True))

    def _ended(self, task: LeasedTask, attempt: HandlerCall) -> None:
        """A handler has ended, in time or not."""
        try:
            self._late(task, attempt)
        except T8Error as error:
            logger.error("A late result could not be written: %s", error)
        finally:
            self._state.end_work()

    def _late(self, task: LeasedTask, attempt: HandlerCall) -> None:
        if self._overdue.pop(task.entry, None) is None or not self._state.is_open or attempt.answer is None:
            return
        if attempt.answer[0]:
            self._state.tasks.succeed(task)
        else:
            self._state.tasks.release(task)
        self.wake()

    async def _finish(self) -> None:
        if self._running:
            await asyncio.wait(self._running, timeout=self._grace)
        late = [attempt for attempt in self._running.values() if attempt is not None]
        for attempt in late:
            attempt.hurry()
        if self._running:
            await asyncio.wait(self._running)
        if late:
            told = "%d tasks were given back: their handlers took longer than the %g s that a stop may take"
            logger.warning(told, len(late), self._grace)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except (asyncio.TimeoutError, TimeoutError):
        return
