"""``self.t8``: resume points, retries and expectations of the job that a spider runs in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

from scrapy import Request
from scrapy.crawler import Crawler

from scrapy_t8.core.items.expectations import expecting
from scrapy_t8.core.items.keys import key_text
from scrapy_t8.core.job.job import Job
from scrapy_t8.core.page import current_request
from scrapy_t8.core.resume_points import POINT, Mark, ResumePointTracker
from scrapy_t8.core.retry.failure import BAN, Failure, RetryPage, known_kind
from scrapy_t8.core.watermark import Value, Watermark
from scrapy_t8.errors import ConfigError
from scrapy_t8.model.resume_point import ResumePoint
from scrapy_t8.utils.handler_call import Handler
from scrapy_t8.utils.text import one_line

R = TypeVar("R", bound=Request)


class JobHandle:
    """The job of *crawler*, as its spider sees the job.

    :raises ConfigError: from every method, if T8 is not turned on in this crawl.
    """

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler

    # -- positions -----------------------------------------------------------------------------------------------

    def resume_point(self, task_type: str, name: str = "") -> ResumePoint | None:
        """Return the point up to which a piece of work is done. None if the work has never begun.

        :param name: distinguishes several pieces of work of one task type.
        """
        return self._points.get(task_type, name)

    def save_point(
        self,
        task_type: str,
        name: str = "",
        *,
        current_page: int | None = None,
        last_cursor: str | None = None,
        last_slug: str | None = None,
        processed: int = 1,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Save that a position is done. It counts when the page of this callback has settled.

        Pages that have a number may settle in any order: the resume point stands before the first number that is
        missing, counted from 1. Without a number, each position comes after the one before.

        :param processed: what this position adds to ``total_processed``.
        """
        given = {"page": current_page, "cursor": last_cursor, "slug": last_slug}
        value = {key: part for key, part in given.items() if part is not None}
        mark: Mark = {"task": task_type, "name": name, "value": value, "units": processed}
        if current_page is not None:
            mark["at"] = current_page
        self._job.save_point(mark)
        if metadata:
            self.describe(task_type, name, metadata)

    def at(self, request: R, task_type: str, name: str = "", *, position: int, **value: Any) -> R:
        """Return *request* with a position, which is done when the request, or its retry or redirect, has settled.

        :param value: the values of the resume point at this position: ``page``, ``cursor``, ``slug``.
        """
        generation = self._points.generation(task_type, name)
        mark: Mark = {"task": task_type, "name": name, "at": position, "generation": generation, "value": value}
        request.meta[POINT] = mark
        return request

    def tell(self, request: Request | None, *, units: int | None = None, **value: Any) -> None:
        """Add to the value of the position of *request*, whose callback this is."""
        request = current_request() or request  # a middleware may have given the response another request
        if request is None or POINT not in request.meta:
            return
        for mark in self._marks(request):
            mark["value"].update(value)
            if units is not None:
                mark["units"] = units

    def forget(self, request: Request | None) -> None:
        """Remove the position of *request*, whose callback this is."""
        request = current_request() or request
        if request is not None and POINT in request.meta:
            self._job.frontier.in_flight[request].uncarry(self._marks(request))

    def is_outdated(self, request: Request | None) -> bool:
        """Whether the work has begun again since *request*, whose callback this is, got its position."""
        request = current_request() or request
        mark = request.meta.get(POINT) if request is not None else None
        return mark is not None and mark["generation"] < self._points.generation(mark["task"], mark["name"])

    def describe(self, task_type: str, name: str, metadata: Mapping[str, Any]) -> None:
        """Add *metadata* to a resume point."""
        self._points.describe(task_type, name, metadata)
        self._job.changed()

    def begin_again(self, task_type: str, name: str = "") -> None:
        """Set a resume point back to the beginning."""
        self._points.begin_again(task_type, name)
        self._job.changed()

    def track(self, task_type: str, name: str = "") -> Watermark:
        """Return all settled positions of a piece of work."""
        return self._points.track(task_type, name)

    def was_given(self, task_type: str, name: str = "") -> bool:
        """Whether the work resumes from its resume point, because no frontier has the rest of the work.

        That is so for a point that was set by hand or by another program, and that no crawl has moved since. Where the
        scheduler is not T8's, it is so for every point of this job.
        """
        is_without_frontier = not self._job.has_frontier and self._points.is_of_job(task_type, name)
        return is_without_frontier or self._points.is_of_nobody(task_type, name)

    def stand_at(self, task_type: str, name: str, position: int) -> None:
        """Set the position of a resume point that was given without one."""
        self._points.stand_at(task_type, name, position)

    def handed_over(self, task_type: str, name: str = "") -> tuple[int, Value]:
        """Return the position after which to begin, and its value.

        In this job that is the highest position in the frontier: everything below is done, or waits in the frontier.
        For work of an earlier job it is the low-water mark.
        """
        if self.knows(task_type, name):
            return self._points.frontier_of(task_type, name)
        track = self.track(task_type, name)
        return track.low, track.value

    def knows(self, task_type: str, name: str = "") -> bool:
        """Whether this job has begun a piece of work, so that the rest of the work is in its frontier."""
        return self._job.has_frontier and self._points.is_of_job(task_type, name)

    # -- failures ------------------------------------------------------------------------------------------------

    def retry(self, reason: str, delay: float | None = None, kind: str = BAN) -> NoReturn:
        """Fetch this page again later. What it has yielded so far does not count.

        :param delay: seconds; None for the backoff of *kind*.
        :raises RetryPage: always.
        """
        raise RetryPage(reason, delay, kind)

    def give_up(self, reason: str, kind: str = BAN, status: int | None = None) -> None:
        """Make the page of this callback a dead letter. What it yields stays.

        :param status: the HTTP status, for the dead letter.
        """
        failure = Failure(known_kind(kind, "give_up"), one_line(reason), status, final=True)
        request = current_request()
        if request is not None:
            self._job.retries.record_failure(request, failure)

    def retries(self, kind: str, request: Request | None = None) -> int:
        """Return how many retries a page, or *request*, has that fails with *kind*."""
        return self._job.retries.decisions.policy.rule(kind, {} if request is None else request.meta).times

    def buries(self, request: Request, kind: str | None = None) -> bool:
        """Whether *request* becomes a dead letter: for what was noted, or if it ends with *kind*. T8_ACCEPT decides."""
        return self._job.retries.buries(request, None if kind is None else Failure(kind, ""))

    def register_retry_handler(self, task_type: str, handler: Handler) -> None:
        """Use *handler* for the retries of *task_type* from now on, instead of a new download."""
        self._job.retries.handlers.register(task_type, handler)

    # -- expectations --------------------------------------------------------------------------------------------

    def expect(self, *keys: object, source: str = "") -> None:
        """Announce items by their keys. That counts when the page of this callback has settled.

        :param source: where the keys come from, for the report.
        """
        self._job.expect([(source, key_text(key), None) for key in keys])

    def expect_from(self, request: R, key: object, source: str = "") -> R:
        """Return *request*, which announces that it will bring the item with this key. That counts when it is admitted.

        The report can then tell what became of the request, and :func:`~scrapy_t8.heal` can repeat it.
        """
        expecting(request, key_text(key), source, by_page=False)
        return request

    def expect_page(self, request: R, name: str | None = None, source: str = "") -> R:
        """Return *request*, which announces that its page, or one it leads to, will have an item, whatever its key.

        :param name: the name of the item in the report; by default the URL.
        """
        expecting(request, name if name is not None else request.url, source, by_page=True)
        return request

    def expect_total(self, total: int, source: str = "") -> None:
        """Announce how many items there will be."""
        self._job.expect([(source, "", total)])

    def exports_again(self, item: Any) -> bool:
        """Whether a later version of *item*, which has a key, is exported as well: see T8_DEDUP_POLICY."""
        return self._job.items.ledger.takes_again(item)

    # -- how -----------------------------------------------------------------------------------------------------

    @property
    def _job(self) -> Job:
        job = Job.of(self._crawler)
        if job is None:
            raise ConfigError(
                "self.t8 needs T8, which is not on in this crawl: ADDONS = {'scrapy_t8.T8Addon': 500} turns it on"
            )
        return job

    @property
    def _points(self) -> ResumePointTracker:
        return self._job.points

    def _marks(self, request: Request) -> list[Any]:
        """Return the marks of the page in flight that belong to the position of *request*."""
        page = self._job.frontier.in_flight.get(request)
        own = [request.meta[POINT][key] for key in ("task", "name", "at")]
        marks = page.positions if page is not None else ()
        return [m for m in marks if not m.get("part") and [m["task"], m["name"], m.get("at")] == own]
