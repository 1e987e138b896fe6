"""Requests that have no stored form: refused, or let through with a word of warning."""

from __future__ import annotations

import logging

from scrapy import Request
from scrapy.crawler import Crawler

from scrapy_t8.errors import CannotStore

logger = logging.getLogger(__name__)


class UnserializableRequests:
    """Told of each of them.

    :param refuses: whether the crawl is to stop at the first (``T8_UNSERIALIZABLE=error``).
    """

    def __init__(self, crawler: Crawler, *, refuses: bool) -> None:
        self._crawler = crawler
        self._refuses = refuses
        self._warned: set[tuple[str, str]] = set()

    def __call__(self, request: Request, error: CannotStore) -> None:
        """Count *request*, and say what it means: once for each callback and key.

        :raises CannotStore: where it is refused.
        """
        callback = getattr(request.callback, "__qualname__", None) or "the default callback"
        told = (
            f"{request} ({callback}) cannot be stored: {error.where or 'request'}: {error}. Use a method of the spider "
            "as callback, and plain values or items in meta and cb_kwargs"
        )
        if self._refuses:
            raise CannotStore(f"{told}. T8_UNSERIALIZABLE=error: the crawl stops, and nothing is lost", error.where)
        assert self._crawler.stats is not None
        self._crawler.stats.inc_value("scheduler/unserializable")
        if (callback, error.where) not in self._warned:
            self._warned.add((callback, error.where))
            logger.warning(
                "%s. It runs from memory: after a crash, the page that yielded it is fetched again. "
                "Not said again for this callback and key",
                told,
            )
