"""How the service is doing: numbers, and which of them are worth an alert."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..failure import one_line
from ..integrity.alerts import SETTING, Alert
from ..integrity.validators import integrity_score
from ..resume import CollectionState
from .logs import logger

if TYPE_CHECKING:
    from ..integrity.validators import Database
    from .state import StateManager


def metrics(manager: StateManager, database: Database | None) -> dict[str, Any]:
    """The metrics as numbers; None for what cannot be told, as nothing has happened or is known yet."""
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
        "data_integrity_score": _score([run.state() for run in runs.values()], database),
    }


def _score(states: list[CollectionState], database: Database | None) -> float | None:
    """The part of the announced items that are there: in the user's database if there is one, else by what was said."""
    known = [state for state in states if state.total_items]
    return integrity_score(sum(_have(state, database) for state in known), sum(state.total_items for state in known))


def _have(state: CollectionState, database: Database | None) -> int:
    if database is not None:
        try:
            return min(database.count_items(state.task_type), state.total_items)
        except Exception as error:
            logger.error("The database does not tell of %s: %s", state.task_type, one_line(repr(error)))
            return 0
    return min(max(0, state.processed_items), state.total_items)


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
