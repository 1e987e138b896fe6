"""The resume points of a job: moved by pages that settle, durable in the commit that settles them.

A request may stand for a position of a named piece of work (its *mark*, in ``meta``), or be a part of one. Both travel
with retries and redirects. A child that copies its parent's meta is not the parent: the mark is taken off it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict

from scrapy import Request

from scrapy_t8.errors import FormatError
from scrapy_t8.model.attempts import ScheduledRetry
from scrapy_t8.model.batch import PointRecord
from scrapy_t8.model.dead_letter import DeadLetter
from scrapy_t8.model.json_document import moment
from scrapy_t8.model.resume_point import ResumePoint
from scrapy_t8.stores.base import Store

from .page import Page
from .watermark import Value, Watermark

logger = logging.getLogger(__name__)

POINT, PART = "t8_point", "t8_part"
"""In the meta of a request: the position that it stands for; the one that it is a part of."""
FIELDS = {"page": "current_page", "cursor": "last_cursor", "slug": "last_slug"}
"""What a value tells, and which field of a resume point that is."""


class Mark(TypedDict, total=False):
    """A position of a piece of work."""

    task: str
    name: str
    at: int
    """The position; without one, it comes after all others."""
    generation: int
    """Which beginning of the work it belongs to."""
    value: dict[str, Any]
    units: int
    """What this position counts for in ``total_processed``."""
    part: bool


@dataclass
class Point:
    """One piece of work: how far it is, and what is said of it."""

    track: Watermark = field(default_factory=Watermark)
    metadata: dict[str, Any] = field(default_factory=dict)
    is_new: bool = True
    """Nothing was ever admitted: the first position that is, is the first of all."""
    job: str = ""
    """The job that last had to do with it."""
    generation: int = 0
    is_blind: bool = False
    """It has begun again within one job: what that job has seen may not have settled."""
    fragile: dict[int, tuple[int, Value]] = field(default_factory=dict)
    """Positions that run from memory, with the highest one before each."""
    written: float = 0.0
    """When it last became history."""


class ResumePointTracker:
    """All resume points of one run.

    :param interval: seconds between two records of history, at least.
    :param by_details: a position is passed only when everything that its page has brought about is settled.
    """

    def __init__(self, store: Store, clock: Callable[[], float], interval: float, *, by_details: bool) -> None:
        self._store = store
        self._clock = clock
        self._interval = interval
        self._by_details = by_details
        self._points: dict[tuple[str, str], Point] = {}
        self._changed: set[tuple[str, str]] = set()
        self._all_historic = False
        self._job = ""

    def open(self, job: str, *, ttl: float, limit: int) -> None:
        """Take over what the store holds; prune history older than *ttl* seconds, or beyond *limit* records."""
        self._job = job
        pruned = self._store.points.prune(self._clock() - ttl, limit)
        if pruned:
            logger.info("%d old records of resume points pruned", pruned)
        for record in self._store.points.all():
            try:
                self._points[record.task_type, record.name] = _loaded(record)
            except FormatError as error:
                told = "The resume point %s cannot be understood and begins anew: %s"
                logger.error(told, f"{record.task_type} {record.name}".strip(), error)

    # -- reading -------------------------------------------------------------------------------------------------

    def get(self, task_type: str, name: str = "") -> ResumePoint | None:
        """How far a piece of work is, as of now: everything up to there has settled."""
        point = self._points.get((task_type, name))
        return None if point is None or point.is_new else self._told(task_type, point)

    def track(self, task_type: str, name: str = "") -> Watermark:
        """The settled positions of a piece of work."""
        return self._point(task_type, name).track

    def frontier_of(self, task_type: str, name: str = "") -> tuple[int, Value]:
        """Up to which position the work was handed over to the frontier of this job, durably."""
        point = self._point(task_type, name)
        if point.fragile:
            return point.fragile[min(point.fragile)]
        return point.track.high, point.track.high_value

    def is_of_job(self, task_type: str, name: str = "") -> bool:
        """Whether this very job has begun a piece of work."""
        return self._point(task_type, name).job == self._job

    def is_of_nobody(self, task_type: str, name: str = "") -> bool:
        """Whether a point was set by hand, and no job has moved it since."""
        point = self._point(task_type, name)
        return not point.is_new and not point.job

    def stand_at(self, task_type: str, name: str, position: int) -> None:
        """All is settled up to *position*."""
        track = self._point(task_type, name).track
        track.low = track.high = position

    def generation(self, task_type: str, name: str) -> int:
        return self._point(task_type, name).generation

    # -- what the doors tell -------------------------------------------------------------------------------------

    def describe(self, task_type: str, name: str, metadata: Mapping[str, Any]) -> None:
        """Say something about a piece of work."""
        point = self._point(task_type, name)
        if any(point.metadata.get(key) != value for key, value in metadata.items()):
            point.metadata.update(metadata)
            self._changed.add((task_type, name))

    def begin_again(self, task_type: str, name: str) -> None:
        """The piece of work begins anew. What is said about it stays."""
        before = self._point(task_type, name)
        self._points[task_type, name] = Point(
            metadata=before.metadata, generation=before.generation + 1, is_blind=before.job == self._job
        )
        self._changed.add((task_type, name))

    def pass_on(self, page: Page, request: Request) -> None:
        """*request* is an output of *page*, whose marks are not its own."""
        meta = request.meta
        if any(POINT in meta and _same(meta[POINT], mark) for mark in page.marks):
            del meta[POINT]
        meta.pop(PART, None)
        if POINT not in meta:
            whole = next((mark for mark in page.marks if mark.get("part") or self._by_details), None)
            if whole is not None and "at" in whole:
                meta[PART] = {key: whole[key] for key in ("task", "name", "at", "generation") if key in whole}

    def admitted(self, request: Request, *, live: bool = False) -> None:
        """*request* has entered the frontier; or runs from memory (*live*)."""
        for mark in marks_of(request):
            point, at = self._of(mark), mark["at"]
            if point is None:
                continue
            if point.is_new:
                point.track = Watermark(at - 1)
            if mark.get("part"):
                point.track.admit_part(at)
            else:
                if live:
                    point.fragile[at] = (point.track.high, point.track.high_value)
                point.track.admit(at, mark.get("value", {}))
            self._touch(mark, point)

    def dropped(self, request: Request) -> None:
        """*request* was seen before: there is nothing to do for its position."""
        for mark in marks_of(request):
            point = self._of(mark)
            # Not so if an earlier reading of the same list has brought it: then it may be in flight.
            if point is not None and not mark.get("part") and not point.is_blind and mark["at"] > point.track.high:
                logger.info("%s stands twice in %s %s", request, mark["task"], mark["name"])
                self.settle({**mark, "units": 0})

    def settled(self, page: Page) -> None:
        """*page* has settled, unless it is going to be tried again or something takes its place."""
        if isinstance(page.verdict, ScheduledRetry) or (page.replaced and not isinstance(page.verdict, DeadLetter)):
            return
        for mark in page.marks:
            self.settle(mark)

    def settle(self, mark: Mark) -> None:
        """A position, or a part of one, needs no more work."""
        point = self._of(mark)
        if point is None:
            return
        if mark.get("part"):
            point.track.settle_part(mark["at"])
        else:
            at = mark.get("at", point.track.high + 1)
            point.track.settle(at, mark.get("value", {}), mark.get("units", 1))
            point.fragile.pop(at, None)
        self._touch(mark, point)

    def _of(self, mark: Mark) -> Point | None:
        """The point that *mark* moves; None if the work has begun again since."""
        point = self._point(mark["task"], mark["name"])
        return point if mark.get("generation", point.generation) == point.generation else None

    def _touch(self, mark: Mark, point: Point) -> None:
        point.is_new, point.job = False, self._job
        self._changed.add((mark["task"], mark["name"]))

    # -- commits -------------------------------------------------------------------------------------------------

    def record_all(self) -> None:
        """With the next commit, every point that has moved since becomes history."""
        self._all_historic = True
        self._changed |= {key for key, point in self._points.items() if not point.is_new}

    def batch(self) -> list[PointRecord]:
        """What has changed, to be committed."""
        if not self._changed:
            return []
        changed, self._changed = self._changed, set()
        records = [self._record(*key) for key in sorted(changed)]
        self._all_historic = False
        return records

    def _record(self, task_type: str, name: str) -> PointRecord:
        point, now = self._points[task_type, name], self._clock()
        is_historic = self._all_historic or now >= point.written + self._interval
        if is_historic:
            point.written = now
        record = json.dumps(self._told(task_type, point).to_dict(), ensure_ascii=False)
        more = {"is_new": point.is_new, "job": point.job, "generation": point.generation, "blind": point.is_blind}
        if point.fragile:
            more["fragile"] = [[at, *before] for at, before in point.fragile.items()]
        track = json.dumps({**point.track.dump(), **more}, ensure_ascii=False)
        return PointRecord(task_type, name, now, record, track, is_historic)

    def _told(self, task_type: str, point: Point) -> ResumePoint:
        track = point.track
        values = {ours: track.value[theirs] for theirs, ours in FIELDS.items() if theirs in track.value}
        return ResumePoint(
            task_type,
            **values,
            total_processed=track.total,
            last_update=moment(self._clock()),
            metadata=dict(point.metadata),
        )

    def _point(self, task_type: str, name: str) -> Point:
        return self._points.setdefault((task_type, name), Point())


def marks_of(request: Request) -> tuple[Mark, ...]:
    """What *request* stands for, as marks of its page."""
    meta = request.meta
    if POINT not in meta and PART not in meta:
        return ()
    return tuple(_marks(meta))


def _marks(meta: Mapping[str, Any]) -> Iterator[Mark]:
    if isinstance(meta.get(POINT), dict):
        yield {**meta[POINT], "value": dict(meta[POINT].get("value", {}))}  # type: ignore[typeddict-item]
    if isinstance(meta.get(PART), dict):
        yield {**meta[PART], "part": True}  # type: ignore[typeddict-item]


def _same(meta: Any, mark: Mark) -> bool:
    return isinstance(meta, dict) and all(meta.get(key) == mark.get(key) for key in ("task", "name", "at"))


def _loaded(record: PointRecord) -> Point:
    """A point from its stored form; one without a track was set by hand."""
    try:
        document = json.loads(record.record)
        told = ResumePoint.from_dict(document)
        if record.track:
            stored = json.loads(record.track)
            return Point(
                Watermark.load(stored),
                told.metadata,
                bool(stored["is_new"]),
                str(stored["job"]),
                int(stored["generation"]),
                bool(stored["blind"]),
                {int(at): (int(high), dict(value)) for at, high, value in stored.get("fragile", ())},
            )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise FormatError(str(error)) from None
    if told.current_page < 0:
        raise FormatError(f"current_page: a page cannot be {told.current_page}", "current_page")
    track = Watermark(told.current_page)
    track.total = told.total_processed
    track.value = {key: getattr(told, ours) for key, ours in FIELDS.items() if getattr(told, ours) is not None}
    track.high_value = track.value
    return Point(track, told.metadata, is_new=False)
