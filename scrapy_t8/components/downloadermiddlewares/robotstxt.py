"""Keeps every robots.txt, for times when it cannot be fetched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.downloadermiddlewares.robotstxt import RobotsTxtMiddleware
from scrapy.http import Response
from scrapy.utils.httpobj import urlparse_cached
from scrapy.utils.misc import build_from_crawler, load_object

from scrapy_t8.core.job.job import Job
from scrapy_t8.utils.log.loggers import get_logger

logger = get_logger(__name__)

PREFIX = "robots:"
LARGEST = 512 * 1024
"""Bytes of a robots.txt: more need not be read (RFC 9309, 2.5)."""
SERVER_ERROR = 500


class T8RobotsTxtMiddleware(RobotsTxtMiddleware):
    """Takes the place of Scrapy's, which allows everything when robots.txt cannot be fetched.

    This one then uses the copy that an earlier run of the job has fetched, or this run before.
    """

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> T8RobotsTxtMiddleware:
        middleware = super().from_crawler(crawler)
        job = Job.of(crawler)
        if job is not None:
            middleware.load(job.store.kept(PREFIX))
            job.persist(middleware)
        crawler.signals.connect(middleware.response_downloaded, signals.response_downloaded)
        return middleware

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self._known: dict[str, bytes] = {}
        self._fresh: dict[str, bytes] = {}
        self._missing: dict[str, Any] = {}
        """Hosts whose robots.txt cannot be fetched, each with the parser of its copy once that is needed."""

    def response_downloaded(self, response: Response, request: Request) -> None:
        url = urlparse_cached(request)
        if url.path != "/robots.txt" or not request.meta.get("dont_obey_robotstxt"):
            return
        if response.status >= SERVER_ERROR:
            self._missing.setdefault(url.netloc, None)
        elif len(response.body) <= LARGEST:
            # A site without the file allows everything.
            self._fresh[url.netloc] = response.body if response.status < 400 else b""

    async def robot_parser(self, request: Request) -> Any:
        # Of several requests that wait for one robots.txt, Scrapy gives the first one the parser, and the others None.
        parser = await super().robot_parser(request) or await super().robot_parser(request)
        netloc = urlparse_cached(request).netloc
        if netloc in self._known and (parser is None or netloc in self._missing):
            if self._missing.get(netloc) is None:
                logger.warning("Cannot fetch robots.txt of %s; using the copy of an earlier run", netloc)
                self._missing[netloc] = self._parser(self._known[netloc])
            return self._missing[netloc]
        return parser

    def _parser(self, body: bytes) -> Any:
        return build_from_crawler(load_object(self.crawler.settings["ROBOTSTXT_PARSER"]), self.crawler, body)

    def load(self, stored: Mapping[str, bytes]) -> None:
        """Take the copies that :meth:`dump` gave in earlier runs."""
        self._known = {name.removeprefix(PREFIX): body for name, body in stored.items()}

    def dump(self, *, force: bool) -> Mapping[str, bytes]:
        fresh, self._fresh = self._fresh, {}
        new = {netloc: body for netloc, body in fresh.items() if self._known.get(netloc) != body}
        self._known.update(new)
        return {PREFIX + netloc: body for netloc, body in new.items()}
