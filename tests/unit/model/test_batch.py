"""Resume points as they are stored."""

from __future__ import annotations

import json

import pytest

from scrapy_t8.errors import FormatError
from scrapy_t8.model.batch import PointRecord
from scrapy_t8.model.resume_point import ResumePoint
from scrapy_t8.utils.times import moment

POINT = ResumePoint("LIST_COLLECTION", 5, "cursor_123", None, 120, moment(1705314600.0), {"tag": "汽车 \udc80"})


@pytest.mark.parametrize("compress", [False, True])
def test_a_point_comes_back(compress: bool) -> None:
    record = PointRecord.of(POINT, "cars", updated=1.0, track="{}", historic=True, compress=compress)
    assert (record.task_type, record.name, record.updated, record.track, record.historic) == (
        *("LIST_COLLECTION", "cars", 1.0, "{}"),
        True,
    )
    record.record.encode()
    assert record.point() == POINT


def test_only_large_metadata_is_compressed() -> None:
    large = ResumePoint("X", metadata={"slugs": ["car-model"] * 200})
    record = PointRecord.of(large, "", updated=1.0, compress=True)
    assert list(json.loads(record.record)["metadata"]) == ["t8_zlib"]
    assert record.point().metadata == large.metadata
    assert json.loads(PointRecord.of(POINT, "", updated=1.0, compress=True).record)["metadata"] == POINT.metadata


def test_a_record_that_somebody_has_changed() -> None:
    with pytest.raises(FormatError, match="the resume point X cars is not JSON"):
        PointRecord("X", "cars", 1.0, "{").point()
    with pytest.raises(FormatError, match="current_page"):
        PointRecord("X", "cars", 1.0, '{"task_type": "X"}').point()
