"""The resume points of a job: moved by pages that settle, durable in the commit that settles the pages.

A request may have a position of a named piece of work (its *mark*, in ``meta``), or be a part of a position. The
mark is kept by retries and redirects. A child that copies its parent's meta loses the mark.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any, TypedDict

from scrapy import Request

from scrapy_t8.errors import FormatError
from scrapy_t8.model.batch import CommitBatch, PointRecord
from scrapy_t8.stores.base import ResumePointStore
from scrapy_t8.utils.classes import record_class
from scrapy_t8.utils.log.loggers import get_logger
from scrapy_t8.utils.times import moment

from .page import Page
from .run import CommitParticipant, RunContext
from .watermark import Value, Watermark

if TYPE_CHECKING:
    from scrapy_t8.model.resume_point import ResumePoint

logger = get_logger(__name__)

POINT, PART = "t8_point", "t8_part"
"""Keys in the meta of a request: the position of the request; the position that it is a part of."""
FIELDS = {"page": "current_page", "cursor": "last_cursor", "slug": "last_slug"}
"""Keys of a position's value, and the field of a resume point that each becomes."""


class Mark(TypedDict, total=False):
    """A position of a piece of work."""

    task: str
    name: str
    at: int
    """The position; without one, the mark comes after all others."""
    generation: int
    """The number of times that the work had begun again when the mark was made."""
    value: dict[str, Any]
    units: int
    """The amount that the position adds to ``total_processed``."""
    part: bool


@record_class(slots=True)
class Point:
    """One piece of work: its settled positions and its metadata."""

    track: Watermark = field(default_factory=Watermark)
    metadata: dict[str, Any] = field(default_factory=dict)
    is_new: bool = True
    """Whether nothing was ever admitted: the first admitted position becomes the beginning."""
    job: str = ""
    """The job that last moved the point."""
    generation: int = 0
    is_blind: bool = False
    """Whether the work has begun again within one job: requests that the job has seen may not have settled."""
    fragile: dict[int, tuple[int, Value]] = field(default_factory=dict)
    """Positions that run from memory, with the highest position before each."""
    written: float = 0.0
    """When the point was last written into the history."""


class ResumePointTracker(CommitParticipant):
    """All resume points of one run. Old history is pruned when the run begins."""

    def __init__(self, context: RunContext) -> None:
        config, store = context.config, context.store.points
        self._job = context.record.id
        self._clock = context.clock
        self._interval = config.update_interval
        """Seconds between two records of history, at least."""
        self._by_details = config.cursor_waits_for == "details"
        """Whether a position is passed only when everything that its page has brought about is settled."""
        pruned = store.prune(context.clock() - config.resume_point_ttl, config.max_resume_points)
        if pruned:
            logger.info("%d old records of resume points pruned", pruned)
        self._points = dict(_load_all(store))
        self._changed: set[tuple[str, str]] = set()
        self._all_historic = False

    # -- reading -------------------------------------------------------------------------------------------------

    def get(self, task_type: str, name: str = "") -> ResumePoint | None:
        """Return the point up to which a piece of work has settled. None if the work has never begun."""
        point = self._points.get((task_type, name))
        return None if point is None or point.is_new else self._resume_point(task_type, point)

    def track(self, task_type: str, name: str = "") -> Watermark:
        """Return the settled positions of a piece of work."""
        return self._point(task_type, name).track

    def frontier_of(self, task_type: str, name: str = "") -> tuple[int, Value]:
        """Return the highest position that is durably in the frontier of this job, and its value."""
        point = self._point(task_type, name)
        if point.fragile:
            return point.fragile[min(point.fragile)]
        return point.track.high, point.track.high_value

    def is_of_job(self, task_type: str, name: str = "") -> bool:
        """Whether this job has begun a piece of work."""
        return self._point(task_type, name).job == self._job

    def is_of_nobody(self, task_type: str, name: str = "") -> bool:
        """Whether a point was set by hand, and no job has moved the point since."""
        point = self._point(task_type, name)
        return not point.is_new and not point.job

    def stand_at(self, task_type: str, name: str, position: int) -> None:
        """Let everything up to *position* count as settled."""
        track = self._point(task_type, name).track
        track.low = track.high = position

    def generation(self, task_type: str, name: str) -> int:
        """Return the number of times that a piece of work has begun again."""
        return self._point(task_type, name).generation

    # -- what moves the points -------------------------------------------------------------------------------------

    def describe(self, task_type: str, name: str, metadata: Mapping[str, Any]) -> None:
        """Add *metadata* to a piece of work."""
        point = self._point(task_type, name)
        if any(point.metadata.get(key) != value for key, value in metadata.items()):
            point.metadata.update(metadata)
            self._changed.add((task_type, name))

    def begin_again(self, task_type: str, name: str) -> None:
        """Put a piece of work back to its beginning. Its metadata stays."""
        before = self._point(task_type, name)
        self._points[task_type, name] = Point(
            metadata=before.metadata, generation=before.generation + 1, is_blind=before.job == self._job
        )
        self._changed.add((task_type, name))

    def pass_on(self, page: Page, request: Request) -> None:
        """Remove the marks of *page* from *request*, its output, and make *request* a part of the position if it is."""
        meta = request.meta
        if any(POINT in meta and _same(meta[POINT], mark) for mark in page.positions):
            del meta[POINT]
        meta.pop(PART, None)
        if POINT not in meta:
            whole = next((mark for mark in page.positions if mark.get("part") or self._by_details), None)
            if whole is not None and "at" in whole:
                meta[PART] = {key: whole[key] for key in ("task", "name", "at", "generation") if key in whole}

    def admitted(self, request: Request, *, live: bool = False) -> None:
        """Record that *request* has entered the frontier, or runs from memory (*live*)."""
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
        """Mark the position of *request* as done: the request was seen before."""
        for mark in marks_of(request):
            point = self._of(mark)
            # But if an earlier reading of the same list has yielded it, it may be in flight.
            if point is not None and not mark.get("part") and not point.is_blind and mark["at"] > point.track.high:
                logger.info(
                    "Duplicate position: %s was already requested in %s", request, f"{mark['task']} {mark['name']}"
                )
                self.pass_position({**mark, "units": 0})

    def settle(self, page: Page) -> None:
        """Mark the positions of *page* as done, unless its work continues in another attempt or entry."""
        if page.positions and not page.goes_on:
            for mark in page.positions:
                self.pass_position(mark)

    def pass_position(self, mark: Mark) -> None:
        """Record that a position, or a part of one, needs no more work."""
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
        """Return the point that *mark* moves; None if the work has begun again since."""
        point = self._point(mark["task"], mark["name"])
        return point if mark.get("generation", point.generation) == point.generation else None

    def _touch(self, mark: Mark, point: Point) -> None:
        point.is_new, point.job = False, self._job
        self._changed.add((mark["task"], mark["name"]))

    # -- commits -------------------------------------------------------------------------------------------------

    def record_all(self) -> None:
        """Write every point that has moved into the history, with the next commit."""
        self._all_historic = True
        self._changed |= {key for key, point in self._points.items() if not point.is_new}

    def fill(self, batch: CommitBatch) -> None:
        """Put the points that have changed into *batch*."""
        if self._changed:
            changed, self._changed = self._changed, set()
            batch.points = [self._record(*key) for key in sorted(changed)]
            self._all_historic = False

    def _record(self, task_type: str, name: str) -> PointRecord:
        point, now = self._points[task_type, name], self._clock()
        is_historic = self._all_historic or now >= point.written + self._interval
        if is_historic:
            point.written = now
        more = {"is_new": point.is_new, "job": point.job, "generation": point.generation, "blind": point.is_blind}
        if point.fragile:
            more["fragile"] = [[at, *before] for at, before in point.fragile.items()]
        track = json.dumps({**point.track.dump(), **more}, ensure_ascii=False)
        stored = self._resume_point(task_type, point)
        return PointRecord.of(stored, name, updated=now, track=track, historic=is_historic)

    def _resume_point(self, task_type: str, point: Point) -> ResumePoint:
        from scrapy_t8.model.resume_point import ResumePoint

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


def _load_all(store: ResumePointStore) -> Iterator[tuple[tuple[str, str], Point]]:
    for record in store.all():
        try:
            yield (record.task_type, record.name), _loaded(record)
        except FormatError as error:
            name = f"{record.task_type} {record.name}".strip()
            logger.error("The resume point %s cannot be read and begins anew: %s", name, error)


def marks_of(request: Request) -> tuple[Mark, ...]:
    """Return the marks of *request*."""
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
    """Return a point from its stored form. A point without stored positions was set by hand."""
    try:
        point = record.point()
        if record.track:
            stored = json.loads(record.track)
            return Point(
                Watermark.load(stored),
                point.metadata,
                bool(stored["is_new"]),
                str(stored["job"]),
                int(stored["generation"]),
                bool(stored["blind"]),
                {int(at): (int(high), dict(value)) for at, high, value in stored.get("fragile", ())},
            )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise FormatError(str(error)) from None
    if point.current_page < 0:
        raise FormatError(f"current_page: a page cannot be {point.current_page}", "current_page")
    track = Watermark(point.current_page)
    track.total = point.total_processed
    track.value = {key: getattr(point, ours) for key, ours in FIELDS.items() if getattr(point, ours) is not None}
    track.high_value = track.value
    return Point(track, point.metadata, is_new=False)
