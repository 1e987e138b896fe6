"""The JSON documents of points, tasks and states."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

import scrapy_t8
from scrapy_t8 import CollectionState, FailedTask, ResumePoint, T8ResumeAndRetry
from scrapy_t8.errors import FormatError

POINT = """
{"task_type": "LIST_COLLECTION", "current_page": 5, "last_cursor": "cursor_123", "last_slug": "car-model-001",
 "total_processed": 120, "last_update": "2024-01-15T10:30:00",
 "metadata": {"tag": "汽车交通", "sort": "latest", "batch": "batch_1"}}
"""
TASK = """
{"task_id": "DETAIL_COLLECTION_a1b2c3d4", "task_type": "DETAIL_COLLECTION", "target": "car-model-001",
 "error_message": "API请求超时", "retry_count": 2, "max_retries": 3, "next_retry_time": "2024-01-15T11:00:00",
 "created_at": "2024-01-15T10:30:00", "metadata": {}}
"""
STATE = """
{"run_id": "run_20240115_001", "task_type": "LIST_COLLECTION", "status": "RUNNING", "start_time": "2024-01-15T10:00:00",
 "last_update": "2024-01-15T10:30:00", "total_items": 1000, "processed_items": 120, "failed_items": 5,
 "resume_points": [], "failed_tasks": []}
"""
KINDS: list[tuple[Any, str]] = [(ResumePoint, POINT), (FailedTask, TASK), (CollectionState, STATE)]


@pytest.mark.parametrize(("kind", "text"), KINDS)
def test_the_given_document_is_read_and_written_with_an_offset(kind: Any, text: str) -> None:
    document = json.loads(text)
    again = kind.from_dict(document).to_dict()
    for name, value in document.items():
        timely = name.endswith(("time", "update", "_at"))
        assert again[name] == (f"{value}+00:00" if timely else value)
    assert kind.from_dict(again).to_dict() == again


@pytest.mark.parametrize(("kind", "text"), KINDS)
def test_each_missing_field_is_named(kind: Any, text: str) -> None:
    for name in json.loads(text):
        document = json.loads(text)
        del document[name]
        with pytest.raises(FormatError, match=name):
            kind.from_dict(document)


@pytest.mark.parametrize(("kind", "text"), KINDS)
def test_each_wrong_type_and_an_unknown_version_are_named(kind: Any, text: str) -> None:
    for name in json.loads(text):
        with pytest.raises(FormatError, match=name):
            kind.from_dict(json.loads(text) | {name: 1.5})
    with pytest.raises(FormatError, match="version"):
        kind.from_dict(json.loads(text) | {"version": 99})


@pytest.mark.parametrize(("kind", "text"), KINDS)
def test_the_dataclasses_have_the_names_and_fields_of_the_documents(kind: Any, text: str) -> None:
    document = json.loads(text)
    assert [field.name for field in fields(kind)] == [*kind.from_dict(document).to_dict()]
    assert {field.name for field in fields(kind)} == set(document)
    record = kind.from_dict(document)
    assert all(getattr(record, name) == value for name, value in document.items() if not isinstance(value, (list, str)))
    assert kind.from_dict(record.to_dict()) == record
    assert kind is getattr(scrapy_t8, kind.__name__)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2024-01-15T10:30:00", "2024-01-15T10:30:00+00:00"),
        ("2024-01-15T10:30:00Z", "2024-01-15T10:30:00+00:00"),
        ("2024-01-15T10:30:00+08:00", "2024-01-15T10:30:00+08:00"),
        ("2024-01-15T10:30:00.250000+00:00", "2024-01-15T10:30:00.250000+00:00"),
    ],
)
def test_times_are_read_with_and_without_an_offset(text: str, time: str) -> None:
    point = ResumePoint.from_dict({**json.loads(POINT), "last_update": text})
    assert point.last_update.tzinfo is not None
    assert point.to_dict()["last_update"] == time
    task = FailedTask.from_dict({**json.loads(TASK), "next_retry_time": None, "created_at": text})
    assert (task.to_dict()["next_retry_time"], task.to_dict()["created_at"]) == (None, time)


def test_a_state_holds_the_documents_of_its_points_and_tasks() -> None:
    point, task = json.loads(POINT), json.loads(TASK)
    whole = {**json.loads(STATE), "resume_points": [point], "failed_tasks": [task]}
    state = CollectionState.from_dict(whole)
    assert state.resume_points == [ResumePoint.from_dict(point)]
    assert state.failed_tasks == [FailedTask.from_dict(task)]
    for name, bad in (("resume_points", {**point, "current_page": "5"}), ("failed_tasks", {**task, "target": 5})):
        with pytest.raises(FormatError, match=r"current_page|target"):
            CollectionState.from_dict({**whole, name: [bad]})


@pytest.mark.parametrize("metadata", [{}, {"a": [1, 2.5, None, True, {"b": "汽车"}]}, {"large": "汽" * 10_000}])
def test_metadata_is_any_json_object(t8: T8ResumeAndRetry, metadata: dict[str, Any]) -> None:
    t8.create_resume_point(task_type="LIST_COLLECTION", current_page=1, metadata=metadata)
    task_id = t8.add_failed_task(task_type="DETAIL_COLLECTION", target="a", error_message="", metadata=metadata)
    point, task = t8.get_resume_point("LIST_COLLECTION"), t8.get_failed_task(task_id)
    assert point is not None
    assert task is not None
    assert point.metadata == task.metadata == metadata


def test_the_names_are_in_the_package() -> None:
    for name in (
        *("ResumePoint", "FailedTask", "CollectionState", "T8ResumeAndRetry", "get_config"),
        *("StateManager", "RetryManager", "ResumeValidator"),
    ):
        assert hasattr(scrapy_t8, name)


def test_ids(t8: T8ResumeAndRetry) -> None:
    task_id = t8.add_failed_task(task_type="DETAIL_COLLECTION", target="a", error_message="", metadata={})
    assert re.fullmatch(r"DETAIL_COLLECTION_[0-9a-f]{8}", task_id)
    before = int(datetime.now(timezone.utc).timestamp())
    point_id = t8.create_resume_point(task_type="LIST_COLLECTION", current_page=1, total_processed=1)
    assert re.fullmatch(r"LIST_COLLECTION_\d+", point_id)
    after = int(datetime.now(timezone.utc).timestamp())
    assert before <= int(point_id.rpartition("_")[2]) <= after


def test_text_beyond_ascii_stays_readable_in_the_state_and_in_what_is_exported(t8: T8ResumeAndRetry) -> None:
    t8.create_resume_point(task_type="LIST_COLLECTION", current_page=1, metadata={"tag": "汽车交通"})
    t8.add_failed_task(task_type="DETAIL_COLLECTION", target="a", error_message="API请求超时", metadata={"k": "批次"})
    t8.state_manager.export_state("state.json")
    text = Path("state.json").read_text(encoding="utf-8")
    t8.stop_service()
    state = Path("data/state/t8/state.db").read_bytes()
    for words in ("汽车交通", "批次"):
        assert words in text
        assert words.encode() in state
    assert "API请求超时" in text


@pytest.mark.parametrize("task_type", ["LIST_COLLECTION", "DETAIL_COLLECTION", "IMAGE_DOWNLOAD", "MY_OWN"])
def test_task_types(t8: T8ResumeAndRetry, task_type: str) -> None:
    t8.create_resume_point(task_type=task_type, current_page=3)
    point = t8.get_resume_point(task_type)
    assert point is not None
    assert point.current_page == 3
