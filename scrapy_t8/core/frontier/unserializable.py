"""Requests that have no stored form: refused, or let through with a warning."""

from __future__ import annotations

from collections.abc import Container
from weakref import WeakKeyDictionary

from scrapy import Request
from scrapy.crawler import Crawler

from scrapy_t8.core.page import Page, current_request
from scrapy_t8.errors import CannotStore
from scrapy_t8.model.entry import START
from scrapy_t8.utils.log.loggers import get_logger

logger = get_logger(__name__)

REMEDY = "Use a method of the spider as callback, and plain values or items in meta and cb_kwargs"


class UnserializableRequests:
    """Counts and reports requests that cannot be serialised.

    :param refuses: whether the crawl is to stop at the first such request (``T8_UNSERIALIZABLE=error``).
    """

    def __init__(self, crawler: Crawler, *, refuses: bool) -> None:
        self._crawler = crawler
        self._refuses = refuses
        self._warned: set[tuple[str, str]] = set()
        self._first: WeakKeyDictionary[Request, str] | None = WeakKeyDictionary()
        """The first of the requests that run from memory between ``start()`` and a request; None after the warning."""

    def warn(self, request: Request, error: CannotStore, page: Page | None, in_memory: Container[Request]) -> None:
        """Count *request*, and say what running it from memory means: once for each callback and key.

        :param page: the page that the request becomes a part of.
        :param in_memory: the requests in flight that run from memory.
        :raises CannotStore: where such requests are refused.
        """
        callback = getattr(request.callback, "__qualname__", None) or "the default callback"
        culprit = f"{request} ({callback}) cannot be stored: {error.where or 'request'}: {error}"
        problem = f"{culprit}. {REMEDY}"
        if self._refuses:
            raise CannotStore(f"{problem}. T8_UNSERIALIZABLE=error: the crawl stops, and nothing is lost", error.where)
        if self._first is not None and page is not None and page.entry == START:
            self._look_for_chain(self._first, request, culprit, current_request(), in_memory)
        assert self._crawler.stats is not None
        self._crawler.stats.inc_value("scheduler/unserializable")
        if (callback, error.where) not in self._warned:
            self._warned.add((callback, error.where))
            logger.warning(
                "%s. The request runs from memory: after a crash, the page that yielded it is fetched again. "
                "Further warnings for this callback and key are suppressed",
                problem,
            )

    def _look_for_chain(
        self,
        first: WeakKeyDictionary[Request, str],
        request: Request,
        culprit: str,
        source: Request | None,
        in_memory: Container[Request],
    ) -> None:
        """Warn if the request that yields *request* runs from memory itself, and so on back to ``start()``."""
        if source is None or source not in in_memory:
            first[request] = culprit
            return
        logger.warning(
            "%s runs from memory, and so does every request before it, back to start(). T8 cannot resume such a "
            "chain: after a kill or a stop it begins at its first request again, however long it was. The first: %s. "
            "%s; name a class of your own in T8_STORED_CLASSES (scrapy t8 help pipelines)",
            request,
            first.get(source, culprit),
            REMEDY,
        )
        self._first = None
