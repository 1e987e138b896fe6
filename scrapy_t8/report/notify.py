"""Sends alerts to people through Apprise: mail, chat, webhooks and many other services.

The log records that Apprise and its HTTP library make while they send may hold the secrets of a URL, so they are kept
out of the log. The log gets their problems here, masked.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from urllib.parse import unquote, urlsplit

from scrapy_t8.errors import ConfigError
from scrapy_t8.utils.log.loggers import get_logger
from scrapy_t8.utils.text import install, one_line
from scrapy_t8.utils.threads import in_thread

logger = get_logger(__name__)

SETTING = "T8_NOTIFY_URLS"
SENDERS = ("apprise", "urllib3.connectionpool", "urllib3.util.retry", "requests")
"""The loggers of Apprise and of its HTTP library."""


class Notifier:
    """Sends notifications to each of *urls*.

    :param timeout: seconds that sending may take in total.
    :raises ConfigError: if Apprise is not installed, or does not understand a URL.
    """

    def __init__(self, urls: Sequence[str], timeout: float) -> None:
        self._timeout = timeout
        self._services = [_Service(url, f"{SETTING}[{number}]") for number, url in enumerate(urls)]

    def __bool__(self) -> bool:
        """Whether there is a URL to send to."""
        return bool(self._services)

    async def send(self, title: str, body: str) -> list[str]:
        """Send a notification to all URLs at once. Returns what went wrong, one line for each URL; it is also logged.

        Nothing is raised. A service that hangs is left alone after the timeout.
        """
        tasks = {asyncio.ensure_future(in_thread(service.send, title, body)): service for service in self._services}
        if tasks:
            try:
                await asyncio.wait(tasks, timeout=self._timeout)
            finally:
                for task in tasks:
                    task.cancel()
        problems = [f"{service}: {problem}" for task, service in tasks.items() if (problem := self._problem(task))]
        for problem in problems:
            logger.warning("A notification was not sent. %s", problem)
        return problems

    def _problem(self, task: asyncio.Future[str]) -> str:
        if not task.done() or task.cancelled():
            return f"no answer in {self._timeout:g} s"
        return type(task.exception()).__name__ if task.exception() else task.result()


class _Service:
    """One URL. Only its scheme and host are ever shown."""

    def __init__(self, url: str, where: str) -> None:
        try:
            from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType
        except ImportError:
            raise ConfigError(f"{SETTING} needs apprise: {install('notify')}") from None
        # Without async_mode, Apprise works in the calling thread, not in a pool that delays the exit of the process.
        asset = AppriseAsset(app_id="scrapy_t8", async_mode=False, service_timeout=0)
        with _captured_warnings():
            service: Any = Apprise.instantiate(url, asset=asset) if isinstance(url, str) else None
            if service is None:
                raise ConfigError(f"{where} is {_scheme(url)}, which is not a URL that Apprise supports")
            # Apprise masks secrets, but leaves paths and parameters as they are.
            masked = urlsplit(service.url(privacy=True))
            self._shown = f"{masked.scheme}://{masked.netloc.rpartition('@')[2]}/***"
        self._apprise = Apprise(service, asset=asset)
        self._options: dict[str, Any] = {"notify_type": NotifyType.WARNING, "body_format": NotifyFormat.TEXT}
        self._secrets = _parts(url) - _parts(self._shown)
        self._where = where

    def __str__(self) -> str:
        return f"{self._where} ({self._shown})"

    def send(self, title: str, body: str) -> str:
        """Send a notification. Returns what went wrong, or ""."""
        with _captured_warnings() as warnings:
            try:
                if self._apprise.notify(body=body, title=title, **self._options):
                    return ""
            except Exception as error:
                warnings.append(f"{type(error).__name__}: {error}")
        return self._without_secrets(warnings[-1] if warnings else "Apprise gives no reason")

    def _without_secrets(self, text: str) -> str:
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return one_line(text)


def _scheme(url: object) -> str:
    """Return what can be shown of a URL that Apprise does not understand: its secrets may be anywhere."""
    scheme, colon, _ = str(url).partition("://")
    return f"{scheme[:20]}://***" if colon else "***"


def _parts(url: str) -> set[str]:
    """Return the parts of a URL, without those so short that any text may contain them."""
    _, _, rest = url.partition("://")
    parts = re.split(r"[/:@?&=#,]+", rest)
    return {part for found in parts for part in (found, unquote(found)) if len(part) > 3}


_warnings: ContextVar[list[str] | None] = ContextVar("warnings", default=None)


@contextmanager
def _captured_warnings() -> Iterator[list[str]]:
    """Collect the warnings of the senders in this thread, and keep all their records out of the log."""
    for name in SENDERS:
        logging.getLogger(name).addFilter(_capture)  # adding the same filter again changes nothing
    warnings: list[str] = []
    token = _warnings.set(warnings)
    try:
        yield warnings
    finally:
        _warnings.reset(token)


def _capture(record: logging.LogRecord) -> bool:
    warnings = _warnings.get()
    if warnings is not None and record.levelno >= logging.WARNING:
        warnings.append(record.getMessage())
    return warnings is None
