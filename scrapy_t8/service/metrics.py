"""How the service is doing: numbers, and which of them are worth an alert."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from scrapy_t8.report.alerts import SETTING, Alert

if TYPE_CHECKING:
    from .state_manager import StateManager


def metrics(manager: StateManager, score: float | None) -> dict[str, Any]:
    """The metrics as numbers; None for what cannot be told, as nothing has happened or is known yet.

    :param score: the integrity score.
    """
    waiting, dead = manager.task_counts()
    succeeded, buried = manager.retry_outcomes()
    points, runs = manager.resume_points().values(), manager.runs.all()
    processed: Counter[str] = Counter()
    for point in points:
        processed[point.task_type] += point.total_processed
    processed.update({kind: run.processed_items - processed[kind] for kind, run in runs.items() if run.processed_items})
    known = sum(processed.values()) + waiting + dead
    return {
        "active_resume_points": len(points),
        "failed_tasks_waiting": waiting,
        "failed_tasks_dead": dead,
        "failed_task_ratio": (waiting + dead) / known if known else None,
        "retry_success_rate": succeeded / (succeeded + buried) if succeeded + buried else None,
        "data_integrity_score": score,
    }


def alerts(numbers: Mapping[str, Any], thresholds: Mapping[str, float]) -> list[dict[str, Any]]:
    """What is over or under its threshold: name, setting, value, threshold and a message, each."""
    return [asdict(alert) for alert in _alerts(numbers, thresholds)]


def _alerts(numbers: Mapping[str, Any], at: Mapping[str, float]) -> Iterator[Alert]:
    for name, what in (
        ("failed_task_ratio", "of all that is known has failed"),
        ("retry_success_rate", "of the retried tasks succeeded in the end"),
        ("data_integrity_score", "of the expected items are there"),
    ):
        value, threshold = numbers[name], at[name]
        over = name == "failed_task_ratio"
        if value is not None and (value > threshold if over else value < threshold):
            message = f"{100 * value:.4g} % {what}: {'over' if over else 'under'} {100 * threshold:.4g} %"
            yield Alert(name, f"{SETTING}[{name!r}]", value, threshold, message)
