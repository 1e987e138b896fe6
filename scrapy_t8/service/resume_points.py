"""The resume points of the service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scrapy_t8.config.settings import Config
from scrapy_t8.model.batch import PointRecord
from scrapy_t8.model.resume_point import ResumePoint
from scrapy_t8.stores.shared.store import SharedStore
from scrapy_t8.utils.checked import checked_metadata, checked_number, checked_text
from scrapy_t8.utils.text import printable
from scrapy_t8.utils.times import moment

from .logs import logger
from .write_batch import WriteBatch

PRUNE_EVERY = 50
"""Records of history between two looks for too old ones."""


class StoredResumePoints:
    """Sets resume points and finds them again. The point as it stands is never pruned, only its history is."""

    def __init__(self, store: SharedStore, updates: WriteBatch, config: Config, clock: Callable[[], float]) -> None:
        self._store = store
        self._updates = updates
        self._config = config
        self._clock = clock
        self._recorded: dict[tuple[str, str], float] = {}
        """When a record of history was made of each."""
        self._unpruned = 0

    def create(
        self,
        task_type: str,
        current_page: int,
        total_processed: int,
        last_cursor: str | None,
        last_slug: str | None,
        metadata: dict[str, Any] | None,
        name: str,
    ) -> str:
        now = self._clock()
        point = ResumePoint(
            task_type=checked_text("task_type", task_type),
            current_page=checked_number("current_page", current_page),
            last_cursor=None if last_cursor is None else checked_text("last_cursor", last_cursor, empty=True),
            last_slug=None if last_slug is None else checked_text("last_slug", last_slug, empty=True),
            total_processed=checked_number("total_processed", total_processed),
            last_update=moment(now),
            metadata=checked_metadata(metadata),
        )
        self.set(point, checked_text("name", name, empty=True))
        point_id = f"{task_type}_{int(now)}"
        logger.info("Resume point %s created: %s", printable(point_id), printable(_place(point)))
        return point_id

    def set(self, point: ResumePoint, name: str = "") -> None:
        """Store *point* as it is."""
        updated = point.last_update.timestamp()
        with self._updates.change() as changes:
            historic = self._is_historic((point.task_type, name), self._clock())
            compress = self._config.enable_compression
            changes.add_point(PointRecord.of(point, name, updated=updated, historic=historic, compress=compress))
        if historic:
            self._unpruned += 1
            if self._unpruned >= PRUNE_EVERY:
                self.prune()

    def all(self) -> dict[tuple[str, str], ResumePoint]:
        """Every point as it stands, by task type and name."""
        self._updates.flush()
        with self._store.reading():
            records = self._store.points.all()
        return {(record.task_type, record.name): record.point() for record in records}

    def newest(self, task_type: str, name: str | None) -> ResumePoint | None:
        mine = [p for (kind, n), p in self.all().items() if kind == task_type and name in (None, n)]
        return max(mine, key=lambda point: point.last_update, default=None)

    def history(self, task_type: str) -> list[ResumePoint]:
        self._updates.flush()
        with self._store.reading():
            return [record.point() for record in self._store.points.history(task_type)]

    def histories(self) -> dict[str, dict[str, list[ResumePoint]]]:
        """What all points were, the newest first, and as they stand; by task type and name."""
        points = self.all()
        found: dict[str, dict[str, list[ResumePoint]]] = {task_type: {} for task_type, _ in points}
        for (task_type, name), point in points.items():
            found[task_type][name] = [point]
        with self._store.reading():
            records = [record for task_type in found for record in self._store.points.history(task_type)]
        for record in records:
            found[record.task_type].setdefault(record.name, []).append(record.point())
        return found

    def delete(self, task_type: str, name: str) -> bool:
        self._updates.flush()
        return self._store.points.drop(task_type, name)

    def prune(self) -> int:
        """Drop history that is too old or too much. Returns how many records went."""
        self._unpruned = 0
        oldest = self._clock() - self._config.resume_point_ttl
        pruned = self._store.points.prune(oldest, self._config.max_resume_points)
        if pruned:
            logger.info("Resume points: %d old records of their history pruned", pruned)
        return pruned

    def _is_historic(self, key: tuple[str, str], now: float) -> bool:
        if now - self._recorded.get(key, float("-inf")) < self._config.update_interval:
            return False
        self._recorded[key] = now
        return True


def _place(point: ResumePoint) -> str:
    place = [f"page {point.current_page}"]
    place += [f"cursor {point.last_cursor}"] if point.last_cursor else []
    place += [f"slug {point.last_slug}"] if point.last_slug else []
    return ", ".join([*place, f"{point.total_processed} processed"])
