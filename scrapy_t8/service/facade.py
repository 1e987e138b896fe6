"""One interface over resume points, retries and validation, for collectors that are no Scrapy spiders."""

from __future__ import annotations

import asyncio
import atexit
import random
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any
from weakref import WeakMethod

from scrapy_t8.config.settings import Config, from_dict
from scrapy_t8.errors import ConfigError
from scrapy_t8.model.failed_task import FailedTask
from scrapy_t8.model.resume_point import ResumePoint
from scrapy_t8.utils.times import moment

from . import logs
from .logs import logger
from .metrics import alerts, metrics
from .retry_manager import RetryManager
from .state_manager import StateManager

if TYPE_CHECKING:
    from scrapy_t8.validation.database import Database
    from scrapy_t8.validation.validator import ResumeValidator


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
        logs.set_up(self.config.log_level)
        self.db_manager = db_manager
        self.state_manager = StateManager(self.config, clock=clock, chance=chance)
        self.retry_manager = RetryManager(self.state_manager, clock=clock, looked=self._looked)
        self._validator: ResumeValidator | None = None
        self._at_exit: Callable[[], None] | None = None

    # -- the service ---------------------------------------------------------------------------------------------

    def start_service(self) -> bool:
        """Open the state and begin to retry what is due. Returns whether it does: see ``enable_auto_retry``.

        :raises T8Error: if the state cannot be opened.
        """
        started = self.retry_manager.start()
        if self._at_exit is None:
            # At the end of the interpreter nobody is to be charged with the death of a handler.
            method = WeakMethod(self.stop_service)
            self._at_exit = lambda: _call(method)
            atexit.register(self._at_exit)
        return started

    def stop_service(self, timeout: float | None = None) -> None:
        """Stop retrying, and give the state up.

        :param timeout: seconds that handlers may go on; None: ``stop_grace``. Then their tasks are given back.
        """
        if self._at_exit is not None:
            atexit.unregister(self._at_exit)
            self._at_exit = None
        self.retry_manager.stop(timeout)
        self.state_manager.close()

    def __enter__(self) -> T8ResumeAndRetry:
        self.start_service()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_service()

    async def __aenter__(self) -> T8ResumeAndRetry:
        await asyncio.to_thread(self.start_service)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop_service)

    # -- resume points and failed tasks --------------------------------------------------------------------------

    def create_resume_point(
        self,
        task_type: str,
        current_page: int = 0,
        total_processed: int = 0,
        last_cursor: str | None = None,
        last_slug: str | None = None,
        metadata: dict[str, Any] | None = None,
        *,
        name: str = "",
    ) -> str:
        """See :meth:`StateManager.create_resume_point`."""
        values = (task_type, current_page, total_processed, last_cursor, last_slug, metadata)
        return self.state_manager.create_resume_point(*values, name=name)

    def get_resume_point(self, task_type: str, name: str | None = None) -> ResumePoint | None:
        """The newest resume point of *task_type*, or None."""
        return self.state_manager.get_resume_point(task_type, name)

    def add_failed_task(
        self,
        task_type: str,
        target: str,
        error_message: str = "",
        metadata: dict[str, Any] | None = None,
        *,
        max_retries: int | None = None,
    ) -> str:
        """See :meth:`StateManager.add_failed_task`."""
        return self.state_manager.add_failed_task(task_type, target, error_message, metadata, max_retries=max_retries)

    def get_failed_task(self, task_id: str) -> FailedTask | None:
        """The task of this id, or None if it has left the queue."""
        return self.state_manager.get_failed_task(task_id)

    # -- validation ----------------------------------------------------------------------------------------------

    @property
    def validator(self) -> ResumeValidator:
        """Checks the state, and the user's database. To be replaced by a subclass's."""
        if self._validator is None:
            from scrapy_t8.validation.validator import ResumeValidator

            self._validator = ResumeValidator(self.state_manager, self.db_manager)
        return self._validator

    @validator.setter
    def validator(self, validator: ResumeValidator) -> None:
        self._validator = validator

    async def validate(self) -> dict[str, Any]:
        """What the validator finds: see :meth:`ResumeValidator.validate`."""
        return await self.validator.validate(moment(self._clock()))

    def validate_sync(self) -> dict[str, Any]:
        """The same for plain code; also inside of a running loop, which waits for it."""
        return self.validator.validate_sync(moment(self._clock()))

    # -- how it is doing -----------------------------------------------------------------------------------------

    def get_metrics(self) -> dict[str, Any]:
        """Active resume points, failed tasks that wait and that are dead, their ratio to all that is known, retry
        success rate, data integrity score. None for what is not known.

        A database is asked how much it has, and waited for; not so inside of a running loop: there it is the score that
        was last known (see :meth:`validate`), and None at first.
        """
        return self._metrics(wait=not _in_loop())

    def _metrics(self, *, wait: bool) -> dict[str, Any]:
        self.state_manager.open()
        score = self.validator.score_now(wait=wait) if self.config.enable_integrity_check else None
        if self.validator.trouble:
            logger.error("The integrity score counts the database as empty: %s", self.validator.trouble)
        return metrics(self.state_manager, score)

    def check_alerts(self) -> list[dict[str, Any]]:
        """What is over or under its threshold (``alert_thresholds``), each with name, value, threshold and message."""
        return self._alerts(self.get_metrics())

    def _alerts(self, numbers: dict[str, Any]) -> list[dict[str, Any]]:
        found = alerts(numbers, self.config.alert_thresholds)
        for alert in found:
            logger.warning("Alert: %s", alert["message"])
        return found

    def _looked(self) -> None:
        if self.config.enable_metrics:
            # A database that hangs is not to hold up retries.
            numbers = self._metrics(wait=False)
            logger.info("Metrics: %s", ", ".join(f"{name} {value}" for name, value in numbers.items()))
            self._alerts(numbers)


def _config(config: Config | Mapping[str, Any] | None) -> Config:
    if isinstance(config, Config):
        return config
    if config is None or isinstance(config, Mapping):
        return from_dict(config or {})
    raise ConfigError(f"the configuration is {config!r:.60}, but must be of get_config, or a dict")


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _call(method: WeakMethod[Callable[..., None]]) -> None:
    stop = method()
    if stop is not None:
        stop(0.0)
