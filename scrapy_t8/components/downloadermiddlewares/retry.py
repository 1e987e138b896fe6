"""The downloader middlewares of retrying: what fails before the callback waits for its next attempt."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.downloadermiddlewares.retry import RetryMiddleware
from scrapy.exceptions import NotConfigured
from scrapy.http import Response
from scrapy.utils.misc import load_object

from scrapy_t8.core.job.job import Job
from scrapy_t8.core.retry.failure import BAN, Failure, RetryPage, of_code, of_download, of_response
from scrapy_t8.utils.text import one_line

if TYPE_CHECKING:
    from typing_extensions import Self

BYPASS = "t8_bypass_cache"
"""In the meta of a retry: this attempt must not be answered from the HTTP cache."""


class T8RetryMiddleware(RetryMiddleware):
    """In the place of Scrapy's: RETRY_HTTP_CODES, RETRY_EXCEPTIONS, ``dont_retry``, ``max_retry_times`` and
    ``priority_adjust`` mean what they always did. What differs: the next attempt is due later, each kind of failure has
    a budget of its own, a host that is down is spared, and response checks may turn any answer into a failure.

    Requests that do not come from the scheduler (robots.txt, media) are retried as Scrapy does it.
    """

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        middleware = cls(crawler.settings)
        middleware.crawler = crawler
        middleware._job = job = Job.of(crawler)
        middleware._checks = job.checks
        middleware._caches = crawler.settings.getbool("HTTPCACHE_ENABLED")
        return middleware

    _job: Job
    _checks: list[Callable[[Response], Any]]
    _caches: bool

    def process_response(  # type: ignore[override]
        self, request: Request, response: Response
    ) -> Request | Response:
        job = self._job
        if not job.works or not job.retries.is_ours(request):
            return super().process_response(request, response)
        is_cached = "cached" in response.flags
        if response.status in self.retry_http_codes:
            failure = of_response(
                response, job.clock(), body_sample=job.config.body_sample, final=bool(request.meta.get("dont_retry"))
            )
            if failure.final:
                job.retries.note(request, failure)
                return response
            return self._retry_later(request, failure) or response
        if not is_cached:
            job.retries.answered(request)
        return self._checked(request, response)

    def process_exception(  # type: ignore[override]
        self, request: Request, exception: Exception
    ) -> Request | Response | None:
        if not self._job.works or not self._job.retries.is_ours(request):
            return super().process_exception(request, exception)
        if not isinstance(exception, self.exceptions_to_retry) or request.meta.get("dont_retry"):
            return None
        return self._retry_later(request, of_download(exception))

    def _checked(self, request: Request, response: Response) -> Request | Response:
        """*response* if all checks let it pass."""
        checks = [*self._checks, *request.meta.get("t8_response_checks", ()), *self._of_the_spider()]
        for check in checks:
            problem = self._problem(load_object(check), response)
            if problem is not None and not request.meta.get("dont_retry"):
                again = self._retry_later(request, problem)
                if again is not None:
                    return again
                raise _given_up(problem)
        return response

    def _of_the_spider(self) -> Any:
        return getattr(self.crawler.spider, "t8_response_checks", ())

    def _problem(self, check: Callable[[Response], Any], response: Response) -> Failure | None:
        try:
            found = check(response)
        except RetryPage as asked:
            return of_code(BAN, asked, response, body_sample=self._job.config.body_sample)
        if not found:
            return None
        reason = found if isinstance(found, str) else f"refused by {getattr(check, '__name__', check)}"
        return of_code(BAN, RetryPage(one_line(reason)), response, body_sample=self._job.config.body_sample)

    def _retry_later(self, request: Request, failure: Failure) -> Request | None:
        adjust = request.meta.get("priority_adjust", self.priority_adjust)
        again = self._job.retries.retry(request, failure, adjust)
        if again is not None and self._caches and "dont_cache" not in again.meta:
            again.meta.update({"dont_cache": True, BYPASS: True})
        return again


def _given_up(failure: Failure) -> Exception:
    # It is not an answer for the callback; an errback hears of it.
    return RetryPage(failure.error, kind=failure.kind)


class T8RetryCacheMiddleware:
    """Below Scrapy's HTTP cache: failures are not cached, and a retry is not answered with a cached one."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        if not crawler.settings.getbool("HTTPCACHE_ENABLED"):
            raise NotConfigured
        return cls({int(code) for code in crawler.settings.getlist("RETRY_HTTP_CODES")})

    def __init__(self, codes: set[int]) -> None:
        self._codes = codes

    def process_request(self, request: Request) -> None:
        # The cache has been passed by; what comes back may be cached.
        if request.meta.pop(BYPASS, False):
            request.meta.pop("dont_cache", None)

    def process_response(self, request: Request, response: Response) -> Response:
        if response.status in self._codes and "dont_cache" not in request.meta:
            request.meta.update({"dont_cache": True, BYPASS: True})
        return response
