"""Whatever goes wrong inside stops the crawl, loudly: nobody could say what is lost if it went on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from scrapy.exceptions import CloseSpider, DontCloseSpider

from scrapy_t8.errors import T8Error, WriteError, remedy

logger = logging.getLogger(__name__)

PASS = (CloseSpider, DontCloseSpider)
"""Nothing wrong: answers to Scrapy."""


class StopOnError:
    """A context that turns every exception into a call of *fail*. May be entered again and again.

    :param what: what is done inside, as in "cannot commit".
    """

    def __init__(self, fail: Callable[[T8Error], None], what: str) -> None:
        self._fail = fail
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: Any) -> bool:
        if not isinstance(error, Exception) or isinstance(error, PASS):
            return False
        self._fail(self._told(error))
        return True

    def _told(self, error: Exception) -> T8Error:
        if isinstance(error, T8Error):
            return error
        if isinstance(error, OSError):
            return WriteError(f"cannot {self._what}: {error}. {remedy(error)}")
        logger.error("A bug in scrapy_t8", exc_info=error)
        return T8Error(f"cannot {self._what}: {error!r}. {remedy(error)}")
