"""Cookies that survive a kill."""

from __future__ import annotations

import time
from collections.abc import Mapping
from http.cookiejar import Cookie
from typing import Any

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.downloadermiddlewares.cookies import CookiesMiddleware
from scrapy.http import Response

from scrapy_t8.core.job.job import Job
from scrapy_t8.errors import CannotLoad, CannotStore
from scrapy_t8.model.codec import Codec
from scrapy_t8.utils.log.loggers import get_logger

logger = get_logger(__name__)

PREFIX = "cookies:"
FIELDS = (
    *("version", "name", "value", "port", "port_specified", "domain", "domain_specified", "domain_initial_dot"),
    *("path", "path_specified", "secure", "expires", "discard", "comment", "comment_url", "rfc2109"),
)


class T8CookiesMiddleware(CookiesMiddleware):
    """Takes the place of Scrapy's: a cookie jar that a response has changed is part of the next commit.

    Values are stored in plain text: the state file is readable by its owner only.
    """

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> T8CookiesMiddleware:
        middleware = super().from_crawler(crawler)
        job = Job.of(crawler)
        if job is not None:
            middleware.load(job.store.kept(PREFIX))
            job.persist(middleware)
        return middleware

    def __init__(self, debug: bool = False) -> None:
        super().__init__(debug)
        self._codec = Codec(allow_pickle=False)
        self._changed: set[Any] = set()
        self._refused: set[str] = set()

    def process_request(self, request: Request, spider: Any = None) -> Any:
        if request.cookies:
            self._changed.add(request.meta.get("cookiejar"))
        return super().process_request(request)

    def process_response(self, request: Request, response: Response, spider: Any = None) -> Any:
        if b"Set-Cookie" in response.headers:
            self._changed.add(request.meta.get("cookiejar"))
        return super().process_response(request, response)

    def dump(self, *, force: bool) -> Mapping[str, bytes]:
        changed, self._changed = self._changed, set()
        return dict(pair for key in changed if (pair := self._dump_jar(key)) is not None)

    def _dump_jar(self, key: Any) -> tuple[str, bytes] | None:
        cookies = [[getattr(cookie, field) for field in FIELDS] for cookie in self.jars[key]]
        try:
            return PREFIX + repr(key), self._codec.encode_item({"key": key, "cookies": cookies})
        except CannotStore as error:
            if repr(key) not in self._refused:
                self._refused.add(repr(key))
                logger.warning("The cookies of jar %r cannot be stored and will not survive this run: %s", key, error)
            return None

    def load(self, stored: Mapping[str, bytes]) -> None:
        """Fill the jars with what :meth:`dump` gave in earlier runs, less the cookies that have expired."""
        now = int(time.time())
        for name, data in stored.items():
            try:
                record = self._codec.decode_item(data)
                for values in record["cookies"]:
                    cookie = Cookie(**dict(zip(FIELDS, values, strict=True)), rest={})
                    if not cookie.is_expired(now):
                        self.jars[record["key"]].set_cookie(cookie)
            except (CannotLoad, KeyError, TypeError, ValueError) as error:
                jar = name.removeprefix(PREFIX)
                logger.error("The stored jar %s of cookies cannot be read; the jar starts empty: %s", jar, error)
