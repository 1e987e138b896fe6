"""One interface over resume points, retries and validation, for collectors that are not Scrapy spiders."""

from __future__ import annotations

import atexit
import random
import time
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any
from weakref import WeakMethod

from scrapy_t8.config.settings import Config, from_dict
from scrapy_t8.errors import ConfigError, T8Error
from scrapy_t8.report.alerts import Incidents, alert_lines
from scrapy_t8.report.notify import Notifier
from scrapy_t8.service.retries.failed_tasks import rules_of
from scrapy_t8.service.retries.retry_manager import RetryManager
from scrapy_t8.utils.classes import forwarded
from scrapy_t8.utils.text import counted
from scrapy_t8.utils.threads import in_loop, in_loop_thread, in_thread_or_here
from scrapy_t8.utils.times import moment
from scrapy_t8.validation.database import Database
from scrapy_t8.validation.validator import ResumeValidator

from . import logs
from .logs import logger
from .metrics import alerts, metrics
from .state_manager import StateManager

POLL = 0.1
"""Seconds between two looks at the tasks that are left."""


class T8ResumeAndRetry:
    """Resume points, failed tasks that are retried, and validation, for plain Python and asyncio.

    A context manager, plain and async: the block runs with the service started. All methods may be called from any
    thread and from inside of a running loop; they take about as long as a write to a file.

    :param config: of :func:`~scrapy_t8.get_config`, or a dict with the same keys; None is ``get_config()``.
    :param db_manager: the user's own database, for validation.
    :param clock: the time, in Unix seconds.
    :param chance: draws evenly from 0 to 1.
    :raises ConfigError: naming what in *config* is unknown or makes no sense.
    """

    def __init__(
        self,
        config: Config | Mapping[str, Any] | None = None,
        db_manager: Database | None = None,
        *,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.config = _config(config)
        self._clock = clock
        logs.set_up(self.config.log_level, map(str, self.config.report_mask), self.config.log_file)
        rules_of(self.config)
        self._notifier = Notifier(list(map(str, self.config.notify_urls)), self.config.notify_timeout)
        self._incidents = Incidents()
        self.db_manager = db_manager
        self.state_manager = StateManager(self.config, clock=clock, chance=chance)
        self.retry_manager = RetryManager(self.state_manager, clock=clock, after_check=self._after_check)
        self._at_exit: Callable[[], None] | None = None

    # -- the service ---------------------------------------------------------------------------------------------

    def start_service(self) -> bool:
        """Open the state and start to retry due tasks. Return whether it retries: not with ``enable_auto_retry`` off.

        :raises T8Error: if the state cannot be opened, or the machine allows no thread for the service.
        """
        try:
            started = self.retry_manager.start()
        except T8Error:
            self.state_manager.close()
            raise
        if self._at_exit is None:
            # A handler that the end of the interpreter kills must not be charged to its task.
            self._at_exit = atexit.register(partial(_stop_at_exit, WeakMethod(self.stop_service)))
        return started

    def wait_for_retries(self, timeout: float | None = None) -> bool:
        """Wait until no task is left whose type has a handler. Return whether that is so.

        For the end of a collector: the service that stops leaves waiting tasks to the next one. In a running event
        loop: ``await asyncio.to_thread(t8.wait_for_retries, 60)``.

        :param timeout: seconds after which the wait ends; None: no limit.
        :raises T8Error: if the service does not run.
        """
        if not self.retry_manager.is_running:
            raise T8Error("no task is retried, because the service does not run: start_service() starts it")
        end = float("inf") if timeout is None else time.monotonic() + timeout
        while is_left := bool(self.retry_manager.waiting_types()):
            if time.monotonic() >= end or not self.retry_manager.is_running:
                break
            time.sleep(POLL)
        return not is_left

    def stop_service(self, timeout: float | None = None) -> None:
        """Stop retrying, and close the state.

        :param timeout: seconds that handlers may go on; None: ``stop_grace``. Then their tasks are given back.
        """
        if self._at_exit is not None:
            atexit.unregister(self._at_exit)
            self._at_exit = None
        self.retry_manager.stop(timeout)
        self._log_what_waits()
        self.state_manager.close()

    def _log_what_waits(self) -> None:
        try:
            waiting = self.state_manager.task_counts()[0] if self.state_manager.is_open else 0
        except T8Error:
            return  # the store has failed, or belongs to the process that forked
        if waiting:
            tasks = counted(waiting, "task waits", "tasks wait")
            logger.info("%s for a retry. Tasks are tried only while a service runs", tasks)

    def __enter__(self) -> T8ResumeAndRetry:
        self.start_service()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop_service()

    async def __aenter__(self) -> T8ResumeAndRetry:
        await in_thread_or_here(self.start_service)
        return self

    async def __aexit__(self, *error: object) -> None:
        await in_thread_or_here(self.stop_service)

    # -- resume points and failed tasks --------------------------------------------------------------------------

    def _state(self) -> StateManager:
        return self.state_manager

    create_resume_point = forwarded(_state, StateManager.create_resume_point)
    get_resume_point = forwarded(_state, StateManager.get_resume_point)
    add_failed_task = forwarded(_state, StateManager.add_failed_task)
    get_failed_task = forwarded(_state, StateManager.get_failed_task)

    # -- validation ----------------------------------------------------------------------------------------------

    @cached_property
    def validator(self) -> ResumeValidator:
        """Checks the state and the user's database. A validator of your own may be assigned."""
        return ResumeValidator(self.state_manager, self.db_manager)

    async def validate(self) -> dict[str, Any]:
        """Return the result of the validator: see :meth:`ResumeValidator.validate`."""
        return await self.validator.validate(moment(self._clock()))

    def validate_sync(self) -> dict[str, Any]:
        """Return the result of the validator, for plain code. A running loop is blocked until then."""
        return self.validator.validate_sync(moment(self._clock()))

    # -- metrics -------------------------------------------------------------------------------------------------

    def get_metrics(self) -> dict[str, Any]:
        """Return the metrics: active resume points, failed tasks that wait and that are dead, their ratio to all that
        is known, retry success rate, data integrity score. None is "not known".

        The method waits for the counts of the database. Inside of a running loop it does not: there the score is the
        one that was last known (see :meth:`validate`), None at first.
        """
        return self._metrics(wait=not in_loop())

    def _metrics(self, *, wait: bool) -> dict[str, Any]:
        self.state_manager.open()
        score = self.validator.score_now(wait=wait) if self.config.enable_integrity_check else None
        if self.validator.trouble:
            logger.error("The integrity score counts the database as empty: %s", self.validator.trouble)
        state = self.state_manager
        return metrics(
            points=state.resume_points().values(),
            runs=state.run_states(),
            tasks=state.task_counts(),
            outcomes=state.retry_outcomes(),
            score=score,
        )

    def check_alerts(self) -> list[dict[str, Any]]:
        """Return the metrics above or below their ``alert_thresholds``: name, value, threshold, message of each."""
        found = alerts(self.get_metrics(), self.config.alert_thresholds)
        for line in alert_lines(found, ()):
            logger.warning("%s", line)
        return [alert._asdict() for alert in found]

    def _after_check(self) -> None:
        if not (self.config.enable_metrics or self._notifier):
            return
        # A database that hangs must not hold up retries.
        numbers = self._metrics(wait=False)
        if self.config.enable_metrics:
            logger.info("Metrics: %s", ", ".join(f"{name} {value}" for name, value in numbers.items()))
        found = alerts(numbers, self.config.alert_thresholds)
        new, over = self._incidents.update({alert.name: alert for alert in found})
        for line in alert_lines(new, ()):
            logger.warning("%s", line)
        for line in alert_lines((), over):
            logger.info("%s", line)
        if self._notifier and (new or over):
            title = f"{self.config.state_dir}: {f'{len(new)} alerts' if new else 'all clear'}"
            in_loop_thread(partial(self._notifier.send, title, "\n".join(alert_lines(new, over))))


def _config(config: Config | Mapping[str, Any] | None) -> Config:
    if isinstance(config, Config):
        return config
    if config is None or isinstance(config, Mapping):
        return from_dict(config or {})
    raise ConfigError(f"the configuration is {config!r:.60}, but must be a Config, as of get_config, or a dict")


def _stop_at_exit(method: WeakMethod[Callable[..., None]]) -> None:
    stop = method()
    if stop is not None:
        stop(0.0)
