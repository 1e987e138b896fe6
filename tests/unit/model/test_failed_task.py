"""Failed tasks: the format that other programs read, and the two kinds of record seen as one."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapy_t8.errors import FormatError, T8Error
from scrapy_t8.model.attempts import AttemptHistory, ScheduledRetry
from scrapy_t8.model.dead_letter import DeadLetter
from scrapy_t8.model.entry import entry_id
from scrapy_t8.model.failed_task import FailedTask, request_task_id, task_of_letter, task_of_waiting
from scrapy_t8.utils.times import moment

DOCUMENT: dict[str, Any] = {
    "task_id": "DETAIL_COLLECTION_a1b2c3d4",
    "task_type": "DETAIL_COLLECTION",
    "target": "car-model-001",
    "error_message": "API请求超时",
    "retry_count": 2,
    "max_retries": 3,
    "next_retry_time": "2024-01-15T11:00:00",
    "created_at": "2024-01-15T10:30:00",
    "metadata": {},
}
UTC = timezone.utc


def test_the_given_document_is_read_and_written_with_an_offset() -> None:
    task = FailedTask.from_dict(DOCUMENT)
    assert task.next_retry_time == datetime(2024, 1, 15, 11, tzinfo=UTC)
    written = task.to_dict()
    assert list(written) == list(DOCUMENT)
    assert written == {
        **DOCUMENT,
        "next_retry_time": "2024-01-15T11:00:00+00:00",
        "created_at": "2024-01-15T10:30:00+00:00",
    }
    assert "API请求超时" in json.dumps(written, ensure_ascii=False)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2024-01-15T10:30:00", datetime(2024, 1, 15, 10, 30, tzinfo=UTC)),
        ("2024-01-15T10:30:00Z", datetime(2024, 1, 15, 10, 30, tzinfo=UTC)),
        ("2024-01-15T10:30:00.250000", datetime(2024, 1, 15, 10, 30, 0, 250000, tzinfo=UTC)),
        ("2024-01-15T18:30:00+08:00", datetime(2024, 1, 15, 10, 30, tzinfo=UTC)),
    ],
)
def test_times_are_read_with_or_without_an_offset(text: str, time: datetime) -> None:
    assert FailedTask.from_dict({**DOCUMENT, "created_at": text}).created_at == time


@pytest.mark.parametrize("field", DOCUMENT)
def test_a_field_that_is_missing_is_named(field: str) -> None:
    with pytest.raises(FormatError, match=f"^{field}: a FailedTask needs this field") as caught:
        FailedTask.from_dict({name: value for name, value in DOCUMENT.items() if name != field})
    assert caught.value.field == field
    assert isinstance(caught.value, T8Error)


@pytest.mark.parametrize("field", DOCUMENT)
@pytest.mark.parametrize("value", [True, 1.5, ["x"], "not a time", {}, None, 7])
def test_a_field_of_a_wrong_type_is_named(field: str, value: Any) -> None:
    right: dict[str, Any] = {"retry_count": 7, "max_retries": 7, "metadata": {}, "next_retry_time": None}
    text = field in ("task_id", "task_type", "target", "error_message") and isinstance(value, str)
    if text or (field in right and type(value) is type(right[field])):
        FailedTask.from_dict({**DOCUMENT, field: value})
        return
    with pytest.raises(FormatError, match=f"^{field}: ") as caught:
        FailedTask.from_dict({**DOCUMENT, field: value})
    assert caught.value.field == field


def test_a_version_that_is_not_known_is_refused() -> None:
    assert FailedTask.from_dict({**DOCUMENT, "version": 1, "more": 2}) == FailedTask.from_dict(DOCUMENT)
    with pytest.raises(FormatError, match=r"^version: .* not int 2") as caught:
        FailedTask.from_dict({**DOCUMENT, "version": 2})
    assert caught.value.field == "version"


def test_a_document_of_the_wrong_type() -> None:
    with pytest.raises(FormatError, match="a FailedTask is an object, not list"):
        FailedTask.from_dict([DOCUMENT])  # type: ignore[arg-type]


TIMES = st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC))


@given(
    st.builds(
        FailedTask,
        *[st.text()] * 4,
        *[st.integers(0)] * 2,
        next_retry_time=st.none() | TIMES,
        created_at=TIMES,
        metadata=st.dictionaries(st.text(), st.none() | st.integers() | st.text()),
    )
)
def test_what_is_written_is_read(task: FailedTask) -> None:
    assert FailedTask.from_dict(json.loads(json.dumps(task.to_dict()))) == task


def test_ids_are_stable_and_their_own() -> None:
    assert request_task_id("DETAIL_COLLECTION", "job_1", 5) == "DETAIL_COLLECTION_e30d7d44"
    ids = {request_task_id("X", job, entry) for job in ("a", "b") for entry in (1, 2, entry_id(1, 1))}
    assert len(ids) == 6
    assert all(re.fullmatch("X_[0-9a-f]{8}", one) for one in ids)


def story() -> AttemptHistory:
    history = AttemptHistory(task_type="IMAGE_DOWNLOAD", target="car-model-001", max_retries=3)
    history.add(100.0, "timeout", "too slow", charged=True)
    history.add(150.0, "throttled", "429", charged=False)
    history.add(200.5, "http", "503", charged=True)
    return history


def test_what_waits_is_a_task() -> None:
    waiting = ScheduledRetry(entry_id(3, 4), 300.0, "host", b"", story().dumps())
    assert task_of_waiting(waiting, "job", "http://host/") == FailedTask(
        task_id=request_task_id("IMAGE_DOWNLOAD", "job", entry_id(3, 4)),
        task_type="IMAGE_DOWNLOAD",
        target="car-model-001",
        error_message="503",
        retry_count=2,
        max_retries=3,
        next_retry_time=moment(300.0),
        created_at=moment(100.0),
        metadata={"kind": "http", "url": "http://host/"},
    )


def test_what_was_revived_is_a_task() -> None:
    task = task_of_waiting(ScheduledRetry(5, 300.0, "host", b"", AttemptHistory().dumps()), "job", "http://host/")
    assert (task.task_type, task.target, task.error_message) == ("DETAIL_COLLECTION", "http://host/", "")
    assert (task.retry_count, task.created_at, task.next_retry_time) == (0, moment(300.0), moment(300.0))


def test_a_dead_letter_is_a_task_that_is_not_tried_again() -> None:
    letter = DeadLetter(9, b"", "gave_up", "503, given up", 400.0, url="http://host/", job="old", story=story().dumps())
    task = task_of_letter(letter)
    assert task.task_id == request_task_id("IMAGE_DOWNLOAD", "old", 9)
    assert (task.target, task.error_message, task.retry_count) == ("car-model-001", "503", 2)
    assert (task.next_retry_time, task.created_at) == (None, moment(100.0))
    assert task.metadata == {"kind": "gave_up", "url": "http://host/"}
    assert task.to_dict()["next_retry_time"] is None


def test_a_dead_letter_without_attempts() -> None:
    task = task_of_letter(DeadLetter(9, b"", "payload", "damaged", 400.0, url="u", task_type="MINE", target="t"))
    assert (task.task_type, task.target, task.error_message) == ("MINE", "t", "damaged")
    assert (task.retry_count, task.max_retries, task.created_at) == (0, 0, moment(400.0))


def test_a_time_without_a_zone_is_written_as_utc() -> None:
    task = FailedTask("i", "t", "x", "e", 0, 0, None, datetime(2024, 1, 1))
    assert task.to_dict()["created_at"] == "2024-01-01T00:00:00+00:00"
    task.created_at = datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=8)))
    assert task.to_dict()["created_at"] == "2024-01-01T00:00:00+08:00"
