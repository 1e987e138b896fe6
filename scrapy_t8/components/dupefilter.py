"""The duplicate filter: the seen-set of the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableSet
from itertools import chain
from typing import Any

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.dupefilters import RFPDupeFilter
from scrapy.utils.request import RequestFingerprinter

from scrapy_t8.core import scrapy_private
from scrapy_t8.core.frontier.frontier import Frontier
from scrapy_t8.core.frontier.seen_set import SeenSet
from scrapy_t8.core.job.job import Job
from scrapy_t8.core.page import current_page
from scrapy_t8.model.entry import SEQ_BITS
from scrapy_t8.utils.hashes import hash63, truncate63


class T8DupeFilter(RFPDupeFilter):
    """Scrapy's duplicate filter, with the seen-set in the store. A request is seen in the commit that admits it."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> T8DupeFilter:
        debug, job = crawler.settings.getbool("DUPEFILTER_DEBUG"), Job.required(crawler)
        return cls(debug=debug, fingerprinter=crawler.request_fingerprinter, frontier=job.frontier)

    def __init__(self, *args: Any, frontier: Frontier, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._frontier = frontier

    def request_seen(self, request: Request) -> bool:
        fingerprint, seen = self._frontier.fingerprint(request), self._frontier.seen
        if fingerprint in seen:
            # A retry was seen when it came first. An entry of no queue is of another job.
            page = current_page()
            return page is None or not page.was_waiting or not page.entry or not page.entry >> SEQ_BITS
        seen.add(fingerprint)
        return False


class StoredFingerprints(MutableSet[Any]):
    """Takes the place of the set in which a filter like Scrapy's keeps fingerprints: it is part of each commit.

    :param shorten: returns a fingerprint as an integer of 63 bits.
    """

    def __init__(self, seen: SeenSet, shorten: Callable[[bytes], int]) -> None:
        self._seen = seen
        self._shorten = shorten

    def __contains__(self, fingerprint: object) -> bool:
        return self._number(fingerprint) in self._seen

    def __iter__(self) -> Iterator[Any]:
        return iter(())  # the store has them, and not as they came

    def __len__(self) -> int:
        return len(self._seen)

    def add(self, fingerprint: Any) -> None:
        self._seen.add(self._number(fingerprint))

    def discard(self, fingerprint: Any) -> None:
        self._seen.discard(self._number(fingerprint))

    def update(self, *fingerprints: Iterable[Any]) -> None:
        for each in chain(*fingerprints):
            self.add(each)

    def _number(self, fingerprint: Any) -> int:
        if isinstance(fingerprint, bytes):
            return self._shorten(fingerprint)
        try:
            return self._shorten(bytes.fromhex(fingerprint))
        except ValueError:
            return hash63(str(fingerprint).encode())


def adopt(dupefilter: object, frontier: Frontier, fingerprinter: object) -> bool:
    """Let a filter of the project that is like Scrapy's keep its fingerprints in the seen-set of the store.

    A request is seen then in the commit that admits it, whatever the filter counts as the same request.

    :returns: whether the filter answers as the seen-set does, so that T8 need not remember the children of pages.
    """
    if isinstance(dupefilter, T8DupeFilter):
        return True
    if not isinstance(dupefilter, RFPDupeFilter):
        return False
    cls = type(dupefilter)
    is_usual = cls.request_fingerprint is RFPDupeFilter.request_fingerprint
    shorten = truncate63 if is_usual and type(fingerprinter) is RequestFingerprinter else hash63
    is_adopted = scrapy_private.replace_fingerprints(dupefilter, StoredFingerprints(frontier.seen, shorten))
    if is_adopted and dupefilter.file is not None:
        dupefilter.file.close()
        dupefilter.file = None
    return is_adopted and is_usual and cls.request_seen is RFPDupeFilter.request_seen
