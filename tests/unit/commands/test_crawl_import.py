"""Exported state comes into the job of a crawl."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scrapy_t8.commands.transfer.crawl_import import ImportSummary, import_into_crawl
from scrapy_t8.commands.transfer.export_import import import_into_service
from scrapy_t8.core.offline.resume_points import open_resume_points
from scrapy_t8.model.job import JobRecord
from scrapy_t8.model.resume_point import ResumePoint
from scrapy_t8.stores.sqlite.resume_points import SQLiteResumePoints
from scrapy_t8.stores.sqlite.store import SQLiteStore

POINTS = 50


@pytest.fixture
def jobdir(tmp_path: Path) -> Path:
    store = SQLiteStore(tmp_path / "t8")
    store.open()
    store.begin_job(JobRecord("job", "cars", {}, 1.0))
    store.close()
    return tmp_path


def document(page: int, year: int) -> dict[str, Any]:
    point = ResumePoint("LIST", page).to_dict() | {"last_update": f"{year}-01-01T00:00:00Z"}
    return {"states": [{"resume_points": [{**point, "name": str(number)} for number in range(POINTS)]}]}


def test_points_that_are_newer_stay_and_the_stored_ones_are_read_once(
    jobdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[object] = []
    read = SQLiteResumePoints.all
    monkeypatch.setattr(SQLiteResumePoints, "all", lambda self: reads.append(self) or read(self))
    assert import_into_crawl(jobdir, document(1, 2020)) == ImportSummary(resume_points=POINTS)
    assert import_into_crawl(jobdir, document(2, 2019)) == ImportSummary(resume_points=0)
    assert import_into_crawl(jobdir, document(3, 2021)) == ImportSummary(resume_points=POINTS)
    assert len(reads) == 3
    with open_resume_points(jobdir) as points:
        assert {point.current_page for point in points.all().values()} == {3}
        assert len(points.all()) == POINTS


def test_a_service_leaves_dead_letters_out(tmp_path: Path) -> None:
    exported = {"version": 1, "states": [], "job": {"id": "a"}, "dead_letters": [{}, {}]}
    assert import_into_service(tmp_path, exported) == ImportSummary(left=2)
