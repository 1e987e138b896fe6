"""Tells people, through Apprise: mail, chat, webhooks and a hundred other services.

Nothing that Apprise and its HTTP library say of a notification goes into the log: it may hold the secrets of its URL.
What is worth knowing is logged here, masked.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import get_ident
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from scrapy_t8.errors import ConfigError
from scrapy_t8.utils.text import one_line
from scrapy_t8.utils.threads import in_thread

logger = logging.getLogger(__name__)

SETTING = "T8_NOTIFY_URLS"
TALKERS = ("apprise", "urllib3.connectionpool", "urllib3.util.retry", "requests")
"""Loggers of what sends."""
T = TypeVar("T")


class Notifier:
    """Sends notifications to every one of *urls*.

    :param timeout: seconds that all of it may take, at the most.
    :raises ConfigError: if Apprise is not installed, or does not understand a URL.
    """

    def __init__(self, urls: Sequence[str], timeout: float) -> None:
        self._timeout = timeout
        self._services = [_Service(url, f"{SETTING}[{number}]") for number, url in enumerate(urls)]

    def __bool__(self) -> bool:
        """Whether there is anybody to be told."""
        return bool(self._services)

    async def send(self, title: str, body: str) -> list[str]:
        """Send it to all of them, at once. Returns what went wrong, a line each, which is also logged.

        Nothing is raised, and one that hangs is left to itself.
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
    """One URL, of which nothing but scheme and host is ever shown."""

    def __init__(self, url: str, where: str) -> None:
        try:
            from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType
        except ImportError:
            raise ConfigError(f"{SETTING} needs apprise: pip install scrapy-t8[notify]") from None
        # In this way it works in the thread that calls it, not in a pool that the exit of the process waits for.
        asset = AppriseAsset(app_id="scrapy_t8", async_mode=False, service_timeout=0)
        with _listening():
            service: Any = Apprise.instantiate(url, asset=asset) if isinstance(url, str) else None
            if service is None:
                raise ConfigError(f"{where} is {_scheme(url)}, which is no URL that Apprise understands")
            self._shown = _masked(service.url(privacy=True))
        self._apprise = Apprise(service, asset=asset)
        self._how: dict[str, Any] = {"notify_type": NotifyType.WARNING, "body_format": NotifyFormat.TEXT}
        self._secrets = _parts(url) - _parts(self._shown)
        self._where = where

    def __str__(self) -> str:
        return f"{self._where} ({self._shown})"

    def send(self, title: str, body: str) -> str:
        """What went wrong, if anything."""
        with _listening() as heard:
            try:
                if self._apprise.notify(body=body, title=title, **self._how):
                    return ""
            except Exception as error:
                heard.append(f"{type(error).__name__}: {error}")
        return self._safe(heard[-1] if heard else "Apprise does not say why")

    def _safe(self, text: str) -> str:
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return one_line(text)


def _scheme(url: object) -> str:
    """All that can be shown of a URL that nobody understands: its secrets may be anywhere."""
    scheme, colon, _ = str(url).partition("://")
    return f"{scheme[:20]}://***" if colon else "***"


def _masked(url: str) -> str:
    """Scheme and host of a URL that Apprise has masked in its way, which leaves paths and parameters as they are."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/***"


def _parts(url: str) -> set[str]:
    """What a URL is made of, but for bits so short that they are in any text."""
    _, _, rest = url.partition("://")
    parts = re.split(r"[/:@?&=#,]+", rest)
    return {part for found in parts for part in (found, unquote(found)) if len(part) > 3}


# -- listening ---------------------------------------------------------------------------------------------------


class _Listener(logging.Filter):
    """Takes what is said in a thread that sends away from the log."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: dict[int, list[str]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        heard = self.heard.get(record.thread or 0)
        if heard is None:
            return True
        if record.levelno >= logging.WARNING:
            heard.append(record.getMessage())
        return False


_listener = _Listener()


@contextmanager
def _listening() -> Iterator[list[str]]:
    for name in TALKERS:
        logging.getLogger(name).addFilter(_listener)  # the same one again is no second one
    heard = _listener.heard[get_ident()] = []
    try:
        yield heard
    finally:
        del _listener.heard[get_ident()]


# -- threads -----------------------------------------------------------------------------------------------------
