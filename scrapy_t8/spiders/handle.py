"""``self.t8``: what a spider may ask of the job that it runs in, and tell it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

from scrapy import Request
from scrapy.crawler import Crawler

from scrapy_t8.core.items.expectations import expecting
from scrapy_t8.core.items.keys import key_text
from scrapy_t8.core.job.job import Job
from scrapy_t8.core.resume_points import POINT, Mark, ResumePointTracker
from scrapy_t8.core.retry.failure import BAN, RetryPage
from scrapy_t8.core.retry.handlers import Handler
from scrapy_t8.core.watermark import Value, Watermark
from scrapy_t8.errors import ConfigError
from scrapy_t8.model.resume_point import ResumePoint

R = TypeVar("R", bound=Request)


class JobHandle:
    """The job of *crawler*, as its spider sees it.

    :raises ConfigError: from every method, if T8 is not turned on in this crawl.
    """

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler

    # -- positions -----------------------------------------------------------------------------------------------

    def resume_point(self, task_type: str, name: str = "") -> ResumePoint | None:
        """How far a piece of work is: everything up to there is done. None if it has never begun.

        :param name: tells several pieces of one task type apart.
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
        """Tell that a position is done. It counts when the page of this callback has settled.

        Pages that have a number may settle in any order: the resume point stands at the last one before the first that
        is missing, counted from 1. Without a number, each position comes after the one before.

        :param processed: what this adds to ``total_processed``.
        """
        told = {"page": current_page, "cursor": last_cursor, "slug": last_slug}
        value = {key: given for key, given in told.items() if given is not None}
        mark: Mark = {"task": task_type, "name": name, "value": value, "units": processed}
        if current_page is not None:
            mark["at"] = current_page
        self._job.save_point(mark)
        if metadata:
            self.describe(task_type, name, metadata)

    def at(self, request: R, task_type: str, name: str = "", *, position: int, **value: Any) -> R:
        """Let *request* stand for a position: it is passed when the request, or what takes its place, has settled.

        :param value: what the resume point says there: ``page``, ``cursor``, ``slug``.
        """
        generation = self._points.generation(task_type, name)
        mark: Mark = {"task": task_type, "name": name, "at": position, "generation": generation, "value": value}
        request.meta[POINT] = mark
        return request

    def tell(self, request: Request | None, *, units: int | None = None, **value: Any) -> None:
        """Say more about the position that *request*, whose callback this is, stands for."""
        if request is None or POINT not in request.meta:
            return
        for mark in self._marks(request):
            mark["value"].update(value)
            if units is not None:
                mark["units"] = units

    def forget(self, request: Request | None) -> None:
        """*request*, whose callback this is, stands for no position after all."""
        if request is not None and POINT in request.meta:
            self._job.frontier.in_flight[request].uncarry(self._marks(request))

    def describe(self, task_type: str, name: str, metadata: Mapping[str, Any]) -> None:
        """Put *metadata* into a resume point."""
        self._points.describe(task_type, name, metadata)
        self._job.changed()

    def begin_again(self, task_type: str, name: str = "") -> None:
        """Put a resume point back to the beginning."""
        self._points.begin_again(task_type, name)
        self._job.changed()

    def track(self, task_type: str, name: str = "") -> Watermark:
        """All settled positions of a piece of work."""
        return self._points.track(task_type, name)

    def was_given(self, task_type: str, name: str = "") -> bool:
        """Whether there is a resume point to go on from without a frontier.

        One set by hand, or by another program, that no crawl has moved since; or any, if the scheduler is not T8's.
        """
        points = self._points
        without = not self._job.has_frontier and points.is_of_job(task_type, name)
        return without or points.is_of_nobody(task_type, name)

    def stand_at(self, task_type: str, name: str, position: int) -> None:
        """A resume point that was given without a position stands at this one."""
        self._points.stand_at(task_type, name, position)

    def handed_over(self, task_type: str, name: str = "") -> tuple[int, Value]:
        """The highest position that the frontier of this job has, and what is known of it.

        Begin after it: what lies below is done or is going to be. In another job, begin after the low-water mark.
        """
        if self.knows(task_type, name):
            return self._points.frontier_of(task_type, name)
        track = self.track(task_type, name)
        return track.low, track.value

    def knows(self, task_type: str, name: str = "") -> bool:
        """Whether this very job has begun a piece of work, so that what it has not done is in the frontier."""
        return self._job.has_frontier and self._points.is_of_job(task_type, name)

    # -- failures ------------------------------------------------------------------------------------------------

    def retry(self, reason: str, delay: float | None = None, kind: str = BAN) -> NoReturn:
        """Have this page again, as if it had not been had.

        :raises RetryPage: always.
        """
        raise RetryPage(reason, delay, kind)

    def retries(self, kind: str) -> int:
        """How often a page that fails is tried again, by the kind of its failure."""
        return self._job.retries.decisions.policy.rule(kind, {}).times

    def register_retry_handler(self, task_type: str, handler: Handler) -> None:
        """From now on *handler* does the retries of *task_type*, in place of a new download."""
        self._job.retries.handlers.register(task_type, handler)

    # -- expectations --------------------------------------------------------------------------------------------

    def expect(self, *keys: object, source: str = "") -> None:
        """Announce items by their keys. It counts when the page of this callback has settled.

        :param source: who says so.
        """
        self._job.expect([(source, key_text(key), None) for key in keys])

    def expect_from(self, request: R, key: object, source: str = "") -> R:
        """Announce the item with this key, which *request* is to bring. It counts when the request is admitted.

        Then the report can tell what became of the request, and :func:`~scrapy_t8.heal` can repeat it.

        :returns: the request.
        """
        expecting(request, key_text(key), source, by_page=False)
        return request

    def expect_page(self, request: R, name: str | None = None, source: str = "") -> R:
        """Announce an item, whatever its key, of the page of *request*, or of pages that this one leads to.

        :param name: what the item is called in the report; the URL if it is not given.
        :returns: the request.
        """
        expecting(request, name if name is not None else request.url, source, by_page=True)
        return request

    def expect_total(self, total: int, source: str = "") -> None:
        """Announce how many items there are."""
        self._job.expect([(source, "", total)])

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
        page = self._job.frontier.in_flight.get(request)
        told = request.meta[POINT]
        of_request = (told["task"], told["name"], told["at"])
        marks = page.positions if page is not None else ()
        return [m for m in marks if not m.get("part") and (m["task"], m["name"], m.get("at")) == of_request]
