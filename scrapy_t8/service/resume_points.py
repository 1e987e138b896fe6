"""The resume points of the service."""

from __future__ import annotations

from typing import Any

from scrapy_t8.model.batch import PointRecord
from scrapy_t8.model.resume_point import ResumePoint
from scrapy_t8.utils.checked import checked_metadata, checked_number, checked_text
from scrapy_t8.utils.text import printable
from scrapy_t8.utils.times import moment

from .context import StateContext
from .logs import logger

PRUNE_EVERY = 50
"""Records of history that are added between two prunings."""


class StoredResumePoints:
    """Sets resume points and finds them again. A point itself is never pruned, only its history is."""

    def __init__(self, context: StateContext) -> None:
        self._points = context.store.points
        self._writes = context.writes
        self._config = context.config
        self._clock = context.clock
        self._recorded: dict[tuple[str, str], float] = {}
        """When the last record of history was made, by task type and name."""
        self._unpruned = 0

    def create_resume_point(
        self,
        task_type: str,
        current_page: int = 0,
        total_processed: int = 0,
        last_cursor: str | None = None,
        last_slug: str | None = None,
        metadata: dict[str, Any] | None = None,
        *,
        name: str = "",
    ) -> str:
        """Store that everything up to here is done. The point replaces the last one of *task_type* and *name*.

        :param name: distinguishes several pieces of work of one task type.
        :returns: the task type, ``_``, the Unix second.
        :raises FormatError: naming the argument that makes no sense.
        """
        now = self._clock()
        point = ResumePoint(task_type, current_page, last_cursor, last_slug, total_processed)
        point.metadata = {} if metadata is None else metadata
        point.last_update = moment(now)
        check_point(point)
        for field in ("last_cursor", "last_slug"):
            if getattr(point, field) is not None:
                checked_text(field, getattr(point, field), empty=True)
        self.set(point, checked_text("name", name, empty=True))
        point_id = f"{task_type}_{int(now)}"
        logger.info("Resume point %s created: %s", printable(point_id), printable(_position(point)))
        return point_id

    def set(self, point: ResumePoint, name: str = "") -> None:
        """Store *point* as it is."""
        updated = point.last_update.timestamp()
        with self._writes.change() as changes:
            historic = self._is_historic((point.task_type, name), self._clock())
            compress = self._config.enable_compression
            changes.add_point(PointRecord.of(point, name, updated=updated, historic=historic, compress=compress))
        if historic:
            self._unpruned += 1
            if self._unpruned >= PRUNE_EVERY:
                self.prune()

    def _is_historic(self, key: tuple[str, str], now: float) -> bool:
        if now - self._recorded.get(key, float("-inf")) < self._config.update_interval:
            return False
        self._recorded[key] = now
        return True

    def resume_points(self) -> dict[tuple[str, str], ResumePoint]:
        """Return all points, by task type and name."""
        self._writes.flush()
        return {(record.task_type, record.name): record.point() for record in self._points.all()}

    def get_resume_point(self, task_type: str, name: str | None = None) -> ResumePoint | None:
        """Return the newest point of *task_type*, or the one of that *name*; None if there is none."""
        points = self.resume_points().items()
        mine = [point for (kind, n), point in points if kind == task_type and name in (None, n)]
        return max(mine, key=lambda point: point.last_update, default=None)

    def resume_point_history(self, task_type: str) -> list[ResumePoint]:
        """Return the earlier points of *task_type*, one for each ``update_interval`` seconds, the newest first."""
        self._writes.flush()
        return [record.point() for record in self._points.history(task_type)]

    def point_histories(self) -> dict[str, dict[str, list[ResumePoint]]]:
        """Return all points, each with its earlier ones, the newest first; by task type and name."""
        found: dict[str, dict[str, list[ResumePoint]]] = {}
        for (task_type, name), point in self.resume_points().items():
            found.setdefault(task_type, {})[name] = [point]
        for task_type, by_name in found.items():
            for record in self._points.history(task_type):
                by_name.setdefault(record.name, []).append(record.point())
        return found

    def delete_resume_point(self, task_type: str, name: str = "") -> bool:
        """Delete a point: that work begins at its beginning the next time. Return whether there was such a point."""
        self._writes.flush()
        return self._points.drop(task_type, name)

    def prune(self) -> int:
        """Delete history that is too old or too much. Return how many records."""
        self._unpruned = 0
        oldest = self._clock() - self._config.resume_point_ttl
        pruned = self._points.prune(oldest, self._config.max_resume_points)
        if pruned:
            logger.info("Resume points: %d old records of their history pruned", pruned)
        return pruned


def check_point(point: ResumePoint) -> None:
    """Check the fields of *point*, and give it a copy of its metadata. A FormatError names the field."""
    checked_text("task_type", point.task_type)
    checked_number("current_page", point.current_page)
    checked_number("total_processed", point.total_processed)
    point.metadata = checked_metadata(point.metadata)


def _position(point: ResumePoint) -> str:
    position = [f"page {point.current_page}"]
    position += [f"cursor {point.last_cursor}"] if point.last_cursor else []
    position += [f"slug {point.last_slug}"] if point.last_slug else []
    return ", ".join([*position, f"{point.total_processed} processed"])
