"""Resume points and states in the forms that are given, and in a job directory."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapy_t8 import CollectionState, ResumePoint, open_resume_points
from scrapy_t8.config import Config
from scrapy_t8.core.resume_points import ResumePointTracker
from scrapy_t8.errors import FormatError
from scrapy_t8.model.attempts import LIST
from scrapy_t8.model.batch import CommitBatch, PointRecord
from scrapy_t8.model.job import JobRecord
from scrapy_t8.stores.sqlite.store import SQLiteStore
from tests.support.clock import Clock

GIVEN = json.loads("""
{"task_type": "LIST_COLLECTION", "current_page": 5, "last_cursor": "cursor_123", "last_slug": "car-model-001",
 "total_processed": 120, "last_update": "2024-01-15T10:30:00",
 "metadata": {"tag": "汽车交通", "sort": "latest", "batch": "batch_1"}}
""")
STATE = json.loads("""
{"run_id": "run_20240115_001", "task_type": "LIST_COLLECTION", "status": "RUNNING", "start_time": "2024-01-15T10:00:00",
 "last_update": "2024-01-15T10:30:00", "total_items": 1000, "processed_items": 120, "failed_items": 5,
 "resume_points": [], "failed_tasks": []}
""")


def test_the_format_that_is_given() -> None:
    point = ResumePoint.from_dict(GIVEN)
    assert point.last_update == datetime(2024, 1, 15, 10, 30, tzinfo=timezone.utc)
    assert point.to_dict() == {**GIVEN, "last_update": "2024-01-15T10:30:00+00:00"}
    state = CollectionState.from_dict({**STATE, "resume_points": [GIVEN]})
    assert state.resume_points == [point]
    assert CollectionState.from_dict(state.to_dict()) == state


texts = st.none() | st.text()


@given(
    st.builds(
        ResumePoint,
        task_type=st.text(),
        current_page=st.integers(),
        last_cursor=texts,
        last_slug=texts,
        total_processed=st.integers(),
        last_update=st.datetimes(timezones=st.just(timezone(timedelta(hours=8)))),
        metadata=st.dictionaries(st.text(), st.integers() | st.text()),
    )
)
def test_documents_round_trip(point: ResumePoint) -> None:
    assert ResumePoint.from_dict(json.loads(json.dumps(point.to_dict()))) == point


@pytest.mark.parametrize("field", list(GIVEN))
def test_a_field_that_is_missing_or_wrong_is_named(field: str) -> None:
    without = {name: value for name, value in GIVEN.items() if name != field}
    with pytest.raises(FormatError, match=field):
        ResumePoint.from_dict(without)
    with pytest.raises(FormatError, match=field):
        ResumePoint.from_dict({**GIVEN, field: 1.5})


@pytest.mark.parametrize("document", [None, [], "x", {**GIVEN, "version": 9}])
def test_what_is_no_resume_point(document: Any) -> None:
    with pytest.raises(FormatError):
        ResumePoint.from_dict(document)


def test_in_a_job_directory(tmp_path: Path) -> None:
    point = ResumePoint.from_dict(GIVEN)
    with open_resume_points(tmp_path) as points:
        assert points.all() == {}
        points.set(point, "cars")
        points.set(ResumePoint(LIST), "bikes")
    with open_resume_points(tmp_path) as points:
        assert points.get(LIST, "cars") == point
        assert set(points.all()) == {(LIST, "cars"), (LIST, "bikes")}
        assert len(points.history(LIST)) == 2
        assert points.delete(LIST, "bikes")
        assert not points.delete(LIST, "bikes")
        assert list(points.states()) == []


@pytest.fixture
def store(tmp_path: Path) -> SQLiteStore:
    store = SQLiteStore(tmp_path / "t8")
    store.open()
    store.begin_job(JobRecord("job", "spider", {}, 0.0))
    return store


def opened(store: SQLiteStore, clock: Clock) -> ResumePointTracker:
    config = Config(update_interval=60.0, resume_point_ttl=1000.0, max_resume_points=3)
    context = SimpleNamespace(config=config, store=store, clock=clock, record=store.job())
    return ResumePointTracker(context)  # type: ignore[arg-type]


def moved(points: ResumePointTracker, page: int) -> None:
    points.pass_position({"task": LIST, "name": "", "at": page, "value": {"page": page}})


def test_history_is_written_once_an_interval_and_pruned(store: SQLiteStore) -> None:
    clock = Clock(1000.0)
    points = opened(store, clock)
    for page in range(1, 11):
        moved(points, page)
        batch = CommitBatch()
        points.fill(batch)
        for record in batch.points:
            store.points.put(record)
        clock.now += 30
    assert [json.loads(r.record)["current_page"] for r in store.points.history(LIST)] == [9, 7, 5, 3, 1]
    opened(store, clock)
    assert [json.loads(r.record)["current_page"] for r in store.points.history(LIST)] == [9, 7, 5]
    clock.now += 10_000
    opened(store, clock)
    assert store.points.history(LIST) == []
    # What is still needed stays, however old.
    (left,) = store.points.all()
    assert json.loads(left.record)["current_page"] == 10
    store.close()


def test_what_was_set_by_hand_is_where_it_goes_on(store: SQLiteStore) -> None:
    store.points.put(PointRecord(LIST, "cars", 0.0, json.dumps(GIVEN)))
    points = opened(store, Clock(1000.0))
    assert points.is_of_nobody(LIST, "cars")
    assert points.frontier_of(LIST, "cars") == (5, {"page": 5, "cursor": "cursor_123", "slug": "car-model-001"})
    assert points.get(LIST, "cars") is not None
    store.close()
