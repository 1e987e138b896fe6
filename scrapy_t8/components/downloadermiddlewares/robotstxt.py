"""What robots.txt has said, for when it cannot be had."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.downloadermiddlewares.robotstxt import RobotsTxtMiddleware
from scrapy.http import Response
from scrapy.utils.httpobj import urlparse_cached
from scrapy.utils.misc import build_from_crawler, load_object

from scrapy_t8.core.job.job import Job

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)

PREFIX = "robots:"
LARGEST = 512 * 1024
"""Bytes of a robots.txt: more need not be read (RFC 9309, 2.5)."""
OUT_OF_ORDER = 500


class T8RobotsTxtMiddleware(RobotsTxtMiddleware):
    """In the place of Scrapy's, which allows everything when robots.txt cannot be had.

    Where an earlier run of the job, or this one, has had it, what it said then holds.
    """

    _job: Job | None
    _known: dict[str, bytes]
    _fresh: dict[str, bytes]
    _missing: dict[str, Any]

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        middleware = super().from_crawler(crawler)
        middleware._job = job = Job.of(crawler)
        middleware._known, middleware._fresh, middleware._missing = {}, {}, {}
        if job is not None:
            kept = job.store.kept(PREFIX)
            middleware._known = {name.removeprefix(PREFIX): body for name, body in kept.items()}
            job.persist(middleware)
        crawler.signals.connect(middleware.response_downloaded, signals.response_downloaded)
        return middleware

    def response_downloaded(self, response: Response, request: Request) -> None:
        url = urlparse_cached(request)
        if url.path != "/robots.txt" or not request.meta.get("dont_obey_robotstxt"):
            return
        if response.status >= OUT_OF_ORDER:
            self._missing.setdefault(url.netloc, None)
        elif len(response.body) <= LARGEST:
            # Without one, everything is allowed.
            self._fresh[url.netloc] = response.body if response.status < 400 else b""

    async def robot_parser(self, request: Request) -> Any:
        parser = await super().robot_parser(request)
        netloc = urlparse_cached(request).netloc
        if netloc in self._known and (parser is None or netloc in self._missing):
            if self._missing.get(netloc) is None:
                logger.warning("robots.txt of %s cannot be had: what it said in an earlier run holds", netloc)
                self._missing[netloc] = self._parser(self._known[netloc])
            return self._missing[netloc]
        return parser

    def _parser(self, body: bytes) -> Any:
        return build_from_crawler(load_object(self.crawler.settings["ROBOTSTXT_PARSER"]), self.crawler, body)

    def dump(self, *, force: bool) -> Mapping[str, bytes]:
        fresh, self._fresh = self._fresh, {}
        new = {netloc: body for netloc, body in fresh.items() if self._known.get(netloc) != body}
        self._known.update(new)
        return {PREFIX + netloc: body for netloc, body in new.items()}
