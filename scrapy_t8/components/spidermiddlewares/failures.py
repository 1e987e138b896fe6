"""Failures after the download: exceptions of callbacks and pipelines, statuses that no callback handles."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from scrapy import signals
from scrapy.crawler import Crawler
from scrapy.http import Response
from scrapy.spidermiddlewares.httperror import HttpError
from twisted.python.failure import Failure

from scrapy_t8.core.items.tracker import pipeline_of_traceback
from scrapy_t8.core.job.job import Job
from scrapy_t8.core.page import current_request
from scrapy_t8.core.retry.failure import OUTAGE, PARSE, PIPELINE, RetryPage, of_code, of_response


class T8FailureMiddleware:
    """Spider middleware, the innermost: records why the page of a response has failed."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> T8FailureMiddleware:
        middleware = cls(Job.required(crawler))
        crawler.signals.connect(middleware.spider_error, signals.spider_error)
        crawler.signals.connect(middleware.item_error, signals.item_error)
        return middleware

    def __init__(self, job: Job) -> None:
        self._job = job

    def process_spider_exception(self, response: Response, exception: Exception) -> Iterable[Any] | None:
        request = current_request()
        if not self._job.works or request is None:
            return None
        if isinstance(exception, HttpError):
            failure = of_response(response, self._job.clock(), body_sample=self._sample, final=True)
            self._job.retries.record_first_failure(request, failure)
        elif isinstance(exception, RetryPage):
            # The spider raised RetryPage: that is not an error for Scrapy's log and statistics.
            self._note(PARSE, exception, response)
            return ()
        else:
            self._job.retries.raised(request, exception)
        return None

    def spider_error(self, failure: Failure, response: Response | Failure) -> None:
        self._note(PARSE, failure.value, response)

    def item_error(self, failure: Failure, response: Response | Failure | None) -> None:
        self._note(OUTAGE if failure.value in self._job.retries.outages else PIPELINE, failure.value, response)

    def _note(self, kind: str, error: BaseException | None, response: Any) -> None:
        # Middlewares may have given the response another request.
        request = current_request()
        if not self._job.works or error is None or request is None:
            return
        failure = of_code(kind, error, response, body_sample=self._sample)
        if failure.kind == OUTAGE:
            pipeline = pipeline_of_traceback(error.__traceback__)
            failure = replace(failure, detail={**failure.detail, "pipeline": pipeline})
        self._job.retries.record_failure(request, failure)

    @property
    def _sample(self) -> int:
        return self._job.config.body_sample
