"""Requests that have no stored form: refused, or let through with a warning."""

from __future__ import annotations

from scrapy import Request
from scrapy.crawler import Crawler

from scrapy_t8.errors import CannotStore
from scrapy_t8.utils.log.loggers import get_logger

logger = get_logger(__name__)


class UnserializableRequests:
    """Counts and reports requests that cannot be serialised.

    :param refuses: whether the crawl is to stop at the first such request (``T8_UNSERIALIZABLE=error``).
    """

    def __init__(self, crawler: Crawler, *, refuses: bool) -> None:
        self._crawler = crawler
        self._refuses = refuses
        self._warned: set[tuple[str, str]] = set()

    def warn(self, request: Request, error: CannotStore) -> None:
        """Count *request*, and say what running it from memory means: once for each callback and key.

        :raises CannotStore: where such requests are refused.
        """
        callback = getattr(request.callback, "__qualname__", None) or "the default callback"
        problem = (
            f"{request} ({callback}) cannot be stored: {error.where or 'request'}: {error}. Use a method of the spider "
            "as callback, and plain values or items in meta and cb_kwargs"
        )
        if self._refuses:
            raise CannotStore(f"{problem}. T8_UNSERIALIZABLE=error: the crawl stops, and nothing is lost", error.where)
        assert self._crawler.stats is not None
        self._crawler.stats.inc_value("scheduler/unserializable")
        if (callback, error.where) not in self._warned:
            self._warned.add((callback, error.where))
            logger.warning(
                "%s. The request runs from memory: after a crash, the page that yielded it is fetched again. "
                "Further warnings for this callback and key are suppressed",
                problem,
            )
