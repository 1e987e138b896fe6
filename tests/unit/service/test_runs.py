"""How far each task type is, from its run, its resume points and its failed tasks."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from scrapy_t8.errors import StoreError
from scrapy_t8.model.failed_task import FailedTask
from scrapy_t8.model.resume_point import CollectionState, ResumePoint
from scrapy_t8.service.metrics import alerts, metrics
from scrapy_t8.service.runs import StoredRun, collection_states

NOW = datetime(2024, 1, 15, 10, 30, tzinfo=timezone.utc)
RUN = StoredRun("run_20240115_001", "LIST", "RUNNING", NOW.timestamp(), NOW.timestamp(), total_items=10, holder="me")


def point(task_type: str, processed: int, minutes: int = 0) -> ResumePoint:
    return ResumePoint(task_type, total_processed=processed, last_update=NOW + timedelta(minutes=minutes))


def task(task_type: str, minutes: int = 0) -> FailedTask:
    return FailedTask(f"{task_type}_1", task_type, "a", "", 0, 3, None, NOW + timedelta(minutes=minutes))


def test_task_types_with_any_data() -> None:
    points = {("LIST", "a"): point("LIST", 3), ("LIST", "b"): point("LIST", 4), ("DETAIL", ""): point("DETAIL", 5, 9)}
    detail, image, listed = collection_states({"LIST": RUN}, points, [task("IMAGE"), task("DETAIL", -5)])
    assert (listed.run_id, listed.status, listed.start_time) == ("run_20240115_001", "RUNNING", NOW)
    assert (listed.total_items, listed.processed_items, listed.failed_items) == (10, 7, 0)
    assert listed.resume_points == [points["LIST", "a"], points["LIST", "b"]]
    assert (detail.run_id, detail.status, detail.processed_items) == ("run_20240115_000", "STOPPED", 5)
    assert detail.last_update - detail.start_time == timedelta(minutes=14)
    assert (image.task_type, image.failed_items, image.failed_tasks) == ("IMAGE", 1, [task("IMAGE")])


def test_what_a_run_has_counted_is_not_counted_again() -> None:
    (state,) = collection_states({"LIST": StoredRun.of(counted())}, {("LIST", ""): point("LIST", 99)}, [task("LIST")])
    assert (state.processed_items, state.failed_items) == (7, 5)


def counted() -> CollectionState:
    return CollectionState("run_20240115_001", "LIST", "RUNNING", NOW, NOW, processed_items=7, failed_items=5)


def test_a_run_is_stored_as_it_is_and_an_imported_one_does_not_run_here() -> None:
    assert StoredRun.loads(RUN.dumps()) == RUN
    assert StoredRun.of(counted()).status == "STOPPED"
    for broken in (b"{", b"[]", b'{"run_id": "a"}'):
        with pytest.raises(StoreError, match="cannot be read"):
            StoredRun.loads(broken)


def test_metrics_are_of_what_is_given() -> None:
    points = [point("LIST", 3), point("DETAIL", 1000)]
    run = CollectionState("run_20240115_001", "DETAIL", "RUNNING", NOW, NOW, processed_items=15)
    numbers = metrics(points=points, runs=[run], tasks=(1, 1), outcomes=(3, 1), score=None)
    assert numbers == {
        "active_resume_points": 2,
        "failed_tasks_waiting": 1,
        "failed_tasks_dead": 1,
        "failed_task_ratio": 0.1,  # 2 of 3 + 15 + 2: the run counts, not the points of its task type
        "retry_success_rate": 0.75,
        "data_integrity_score": None,
    }
    thresholds = {"failed_task_ratio": 0.1, "retry_success_rate": 0.8, "data_integrity_score": 0.95}
    assert [alert.name for alert in alerts(numbers, thresholds)] == ["retry_success_rate"]
    unknown = metrics(points=[], runs=[], tasks=(0, 0), outcomes=(0, 0), score=None)
    assert (unknown["failed_task_ratio"], unknown["retry_success_rate"]) == (None, None)
