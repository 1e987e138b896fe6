"""What each run of a job does before its stored requests are sent: logins, tokens, sessions."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from datetime import date
from typing import Any

from scrapy.utils.defer import ensure_awaitable

from scrapy_t8.core import scrapy_private
from scrapy_t8.core.job.job import Job
from scrapy_t8.errors import BeginFailed
from scrapy_t8.utils.log.loggers import get_logger
from scrapy_t8.utils.text import one_line

logger = get_logger(__name__)

HOOK = "t8_begin"
NAME = "start.assigned"
ABSENT = object()


class RunBeginning:
    """Calls ``t8_begin()`` of the spider in each run; without that method, runs the beginning of ``start()`` again.

    ``start()`` is read to its end once in a job. What it assigns to the spider before its first output, such as a
    token, would be missing in a later run. Therefore the names of these attributes are remembered, and a later run
    holds its stored requests until ``start()`` has come to its first output again.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._spider: Any = job.crawler.spider
        self._before: dict[str, Any] = {}
        self._entries: dict[str, dict[Any, Any]] = {}
        """What the dicts among the attributes had in them."""
        self._stored = job.store.kept(NAME).get(NAME, b"")
        self._assigned: list[str] = json.loads(self._stored or b"[]")
        self.is_waiting = hasattr(self._spider, HOOK) or bool(self._assigned)
        """Whether stored requests are held."""
        if self.is_waiting:
            job.hold_requests(True)
        job.persist(self)

    def dump(self, *, force: bool) -> Mapping[str, bytes]:
        """Return the names of the attributes, if they have changed."""
        names = json.dumps(self._assigned).encode()
        if names == (self._stored or b"[]"):
            return {}
        self._stored = names
        return {NAME: names}

    async def call_hook(self) -> None:
        """Call ``t8_begin()``, if the spider has it.

        :raises BeginFailed: if the method raises an exception.
        """
        self._before = dict(vars(self._spider))
        self._entries = {name: dict(value) for name, value in self._before.items() if _is_plain(name, value)}
        hook = getattr(self._spider, HOOK, None)
        if hook is None:
            return
        try:
            await ensure_awaitable(hook())
        except Exception as error:
            raise self.failed(HOOK, error) from error
        self._assigned = []
        self.go_on()

    async def repeat(self, start: AsyncIterator[Any]) -> None:
        """Run *start* up to its first output, which a former run has had, if it has assigned attributes.

        :raises BeginFailed: if *start* raises an exception.
        """
        if not self.is_waiting:
            return
        names = ", ".join(f"self.{name}" for name in self._assigned)
        logger.info("start() is run again up to its first output, since it assigns %s", names)
        try:
            async for _ in start:
                break
            if hasattr(start, "aclose"):
                await start.aclose()
        except Exception as error:
            raise self.failed("start", error) from error
        self.go_on()

    def reached_output(self) -> None:
        """Note what ``start()`` has assigned before its first output: no callback can have assigned it."""
        if not hasattr(self._spider, HOOK):
            self._assigned = sorted(name for name, value in vars(self._spider).items() if self._has_news(name, value))
        self.go_on()

    def _has_news(self, name: str, value: Any) -> bool:
        """Return whether ``start()`` has assigned an attribute, or an entry of a dict that is an attribute."""
        if _is_news(value, self._before.get(name, ABSENT)):
            return True
        entries = self._entries.get(name)
        if entries is None or not _is_plain(name, value):
            return False
        return any(_is_news(entry, entries.get(key, ABSENT)) for key, entry in value.items())

    def go_on(self) -> None:
        """Let stored requests be sent."""
        if self.is_waiting:
            self.is_waiting = False
            self._job.hold_requests(False)
            scrapy_private.schedule_next_call(self._job.crawler)

    def failed(self, method: str, error: BaseException) -> BeginFailed:
        """Return the error that ends the run, since *method* of the spider has raised an exception."""
        where = f"{type(self._spider).__module__}.{type(self._spider).__qualname__}.{method}()"
        logger.error("%s has raised an exception", where, exc_info=error)
        return BeginFailed(
            f"{where} has raised {one_line(repr(error))}: no request was sent, and none was given up. Mend that and "
            "run the same command again"
        )


def _is_plain(name: str, value: Any) -> bool:
    """Return whether an attribute is a dict of the project. ``spider.state`` survives kills by itself."""
    return isinstance(value, dict) and name != "state"


def _is_news(value: Any, before: Any) -> bool:
    """Return whether an attribute was assigned whose value callbacks may need. A count or a time is not worth a run."""
    return value is not before and not isinstance(value, (bool, int, float, date))
