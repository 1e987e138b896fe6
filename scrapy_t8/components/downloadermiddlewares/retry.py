"""The downloader middlewares for retries: a request that fails before its callback waits for its next attempt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.downloadermiddlewares.retry import RetryMiddleware
from scrapy.exceptions import NotConfigured
from scrapy.http import Response
from scrapy.settings import BaseSettings
from scrapy.utils.misc import load_object

from scrapy_t8.core.job.job import Job
from scrapy_t8.core.retry.failure import BAN, Failure, RetryPage, of_code, of_download, of_response
from scrapy_t8.errors import CannotLoad
from scrapy_t8.model.stored.types import spider_method
from scrapy_t8.utils.text import one_line

BYPASS = "t8_bypass_cache"
"""Key in the meta of a retry: this attempt must not be answered from the HTTP cache."""


class T8RetryMiddleware(RetryMiddleware):
    """Replaces Scrapy's: RETRY_HTTP_CODES, RETRY_EXCEPTIONS, ``dont_retry``, ``max_retry_times`` and
    ``priority_adjust`` mean what they always did. What differs: the next attempt is due later, each kind of failure has
    its own number of retries, a host that is down is paused, and response checks may turn any response into a failure.

    Requests that do not come from the scheduler (robots.txt, media) are retried as Scrapy does it.
    """

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> T8RetryMiddleware:
        caches = crawler.settings.getbool("HTTPCACHE_ENABLED")
        middleware = cls(crawler.settings, Job.of(crawler), caches=caches)
        middleware.crawler = crawler
        return middleware

    def __init__(self, settings: BaseSettings, job: Job | None = None, *, caches: bool = False) -> None:
        super().__init__(settings)
        self._job = job
        self._caches = caches

    def process_response(  # type: ignore[override]
        self, request: Request, response: Response
    ) -> Request | Response:
        job = self._job_of(request)
        if job is None:
            return super().process_response(request, response)
        is_cached = "cached" in response.flags
        if response.status in self.retry_http_codes:
            failure = of_response(
                response, job.clock(), body_sample=job.config.body_sample, final=bool(request.meta.get("dont_retry"))
            )
            if failure.final:
                job.retries.record_failure(request, failure)
                return response
            return self._retry_later(job, request, failure) or response
        if not is_cached:
            job.retries.decisions.host_answered(request)
        return self._checked(job, request, response)

    def process_exception(  # type: ignore[override]
        self, request: Request, exception: Exception
    ) -> Request | Response | None:
        job = self._job_of(request)
        if job is None:
            return super().process_exception(request, exception)
        if not isinstance(exception, self.exceptions_to_retry) or request.meta.get("dont_retry"):
            return None
        return self._retry_later(job, request, of_download(exception))

    def _job_of(self, request: Request) -> Job | None:
        """Return the job if *request* came from its frontier."""
        job = self._job
        return job if job is not None and job.works and job.retries.is_ours(request) else None

    def _checked(self, job: Job, request: Request, response: Response) -> Request | Response:
        """Return *response* if it passes all checks; else the retry.

        :raises RetryPage: if a check fails and no retry is left.
        """
        of_spider = getattr(self.crawler.spider, "t8_response_checks", ())
        named = [self._named(job, check) for check in request.meta.get("t8_response_checks", ())]
        for check in (*job.retries.checks, *named, *map(load_object, of_spider)):
            problem = _problem(check, response, job.config.body_sample)
            if problem is not None and not request.meta.get("dont_retry"):
                again = self._retry_later(job, request, problem)
                if again is not None:
                    return again
                # The response is no answer for the callback; an errback gets the exception.
                raise RetryPage(problem.error, kind=problem.kind)
        return response

    def _named(self, job: Job, check: Any) -> Callable[[Response], Any]:
        """Return the check that a request names.

        :raises CannotLoad: if neither the settings nor the spider have it: the name may come from a job directory.
        """
        if callable(check):
            return check  # type: ignore[no-any-return]  # a request that runs from memory
        if check in job.config.request_checks:
            return load_object(check)  # type: ignore[no-any-return]
        method = spider_method(self.crawler.spider, str(check))
        if method is None:
            raise CannotLoad(f"the response check {check!r} is neither in T8_REQUEST_CHECKS nor a method of the spider")
        return method

    def _retry_later(self, job: Job, request: Request, failure: Failure) -> Request | None:
        adjust = request.meta.get("priority_adjust", self.priority_adjust)
        again = job.retries.retry(request, failure, adjust)
        if again is not None and self._caches and "dont_cache" not in again.meta:
            again.meta.update({"dont_cache": True, BYPASS: True})
        return again


def _problem(check: Callable[[Response], Any], response: Response, body_sample: int) -> Failure | None:
    """Return the failure that *check* finds in *response*, or None."""
    try:
        found = check(response)
    except RetryPage as asked:
        return of_code(BAN, asked, response, body_sample=body_sample)
    if not found:
        return None
    reason = found if isinstance(found, str) else f"refused by {getattr(check, '__name__', check)}"
    return of_code(BAN, RetryPage(one_line(reason)), response, body_sample=body_sample)


class T8RetryCacheMiddleware:
    """Stands below Scrapy's HTTP cache: failures are not cached, and a retry is not answered from the cache."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> T8RetryCacheMiddleware:
        if not crawler.settings.getbool("HTTPCACHE_ENABLED"):
            raise NotConfigured
        return cls({int(code) for code in crawler.settings.getlist("RETRY_HTTP_CODES")})

    def __init__(self, codes: set[int]) -> None:
        self._codes = codes

    def process_request(self, request: Request) -> None:
        # The cache has been bypassed; the response may be cached.
        if request.meta.pop(BYPASS, False):
            request.meta.pop("dont_cache", None)

    def process_response(self, request: Request, response: Response) -> Response:
        if response.status in self._codes and "dont_cache" not in request.meta:
            request.meta.update({"dont_cache": True, BYPASS: True})
        return response
