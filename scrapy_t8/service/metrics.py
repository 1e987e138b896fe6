"""How the service is doing: numbers, and which of them are worth an alert."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from scrapy_t8.model.resume_point import CollectionState, ResumePoint
from scrapy_t8.report.alerts import Alert, by_thresholds


def metrics(
    *,
    points: Collection[ResumePoint],
    runs: Iterable[CollectionState],
    tasks: tuple[int, int],
    outcomes: tuple[int, int],
    score: float | None,
) -> dict[str, Any]:
    """Return the metrics as numbers; None for a metric that is unknown because nothing has happened yet.

    :param tasks: how many wait, and how many are dead.
    :param outcomes: how many tasks have succeeded by a retry, and how many were given up.
    :param score: the integrity score.
    """
    waiting, dead = tasks
    succeeded, buried = outcomes
    processed: Counter[str] = Counter()
    for point in points:
        processed[point.task_type] += point.total_processed
    by_runs = {run.task_type: run.processed_items for run in runs if run.processed_items}
    known = sum({**processed, **by_runs}.values()) + waiting + dead
    return {
        "active_resume_points": len(points),
        "failed_tasks_waiting": waiting,
        "failed_tasks_dead": dead,
        "failed_task_ratio": (waiting + dead) / known if known else None,
        "retry_success_rate": succeeded / (succeeded + buried) if succeeded + buried else None,
        "data_integrity_score": score,
    }


def alerts(numbers: Mapping[str, Any], thresholds: Mapping[str, float]) -> list[Alert]:
    """Return the metrics above or below their thresholds."""
    parts = {
        "failed_task_ratio": (numbers["failed_task_ratio"], "of all that is known has failed"),
        "retry_success_rate": (numbers["retry_success_rate"], "of the retried tasks succeeded in the end"),
        "data_integrity_score": (numbers["data_integrity_score"], "of the expected items are there"),
    }
    return list(by_thresholds(parts, thresholds))
