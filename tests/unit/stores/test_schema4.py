"""State that release 0.1 has written, in schema 4, is read and continued. ``tests/data/schema4/make.py`` made it."""

from __future__ import annotations

import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from scrapy_t8 import T8ResumeAndRetry, open_dead_letters, open_resume_points, read_report
from scrapy_t8.model.dead_letter import LetterFilter
from scrapy_t8.stores.reader.reader import open_read_only
from scrapy_t8.stores.sqlite.store import SQLiteStore
from tests.data.schema4 import make
from tests.data.schema4.shop import slugs

CARS = [f"car-{page}-{number}" for page in (1, 2, 3) for number in range(4)]
LISTED = [f"listed-{page}" for page in (1, 2, 3)]
LATE = [*(f"slow-{number}" for number in range(8)), *(f"busy-{number}" for number in range(3))]
IMPORTED = "DETAIL_COLLECTION_a1b2c3d4"


def unpack(name: str, directory: Path) -> None:
    with tarfile.open(make.HERE / f"{name}.tar.xz") as archive:
        archive.extractall(directory)


def back_date(state: Path) -> None:
    """Make everything due, whatever the clock says."""
    with closing(sqlite3.connect(state)) as db, db:
        db.execute("UPDATE waiting SET due = 1")
        db.execute("UPDATE host SET record = json_set(record, '$.probe_at', 1)")


@pytest.mark.parametrize("name", make.CRAWLS)
def test_a_crawl_is_read(name: str, tmp_path: Path) -> None:
    unpack(name, tmp_path)
    with open_read_only(tmp_path / "job/t8") as reader:
        assert reader.sizes()[:2] == (8, 3)
        assert len(reader.backlog.leased()) == 4
        assert list(reader.hosts()) == ["down.test"]
        assert len(list(reader.missing(1))) == 3
    assert read_report(tmp_path / "job")["ledger"]["requests"]["difference"] == 0
    with open_dead_letters(tmp_path / "job") as letters:
        assert [(letter.kind, letter.callback) for letter in letters.list()] == [
            ("parse", "parse_bug"),
            ("http", "parse"),
        ]
        assert len(list(letters.tasks())) == 5
    with open_resume_points(tmp_path / "job") as points:
        point = points.all()["LIST_COLLECTION", "cars"]
        assert (point.current_page, point.metadata) == (3, {"tag": "汽车"})
        assert points.history("LIST_COLLECTION")


@pytest.mark.parametrize(("name", "policy"), make.CRAWLS.items())
def test_a_store_recovers_it(name: str, policy: str, tmp_path: Path) -> None:
    unpack(name, tmp_path)
    store = SQLiteStore(tmp_path / "job/t8")
    store.open()
    found = store.begin_run(2e9, crash_limit=1)
    assert (found.job.spider, found.job.policy, found.run, found.recovered) == ("shop", policy, 2, 4)
    assert len(found.crashed) == 4
    queue = store.queues()[0]
    assert len(store.read(queue.id, newest_first=True, beyond=None, limit=100)) == queue.stored == 8
    exports = store.items.some_items(100).values()
    assert len(exports) == 16
    assert len({(export.digest, export.place) for export in exports}) > 1
    assert all((export.place is None) == (policy == "changed") for export in exports)
    assert list(store.items.superseded()) == ([1, 3] if policy == "last" else [])
    store.close()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "policy"), make.CRAWLS.items())
def test_a_crawl_goes_on(name: str, policy: str, tmp_path: Path) -> None:
    unpack(name, tmp_path)
    back_date(tmp_path / "job/t8/state.db")
    ended = make.crawl(tmp_path, f"T8_DEDUP_POLICY={policy}")
    assert ended.returncode == 0, ended.stderr
    several = {"last": [], "changed": ["on-each-page", "on-each-page", "listed-2"]}[policy]
    wanted = sorted([*CARS, *LISTED, "on-each-page", *LATE, *several])
    assert slugs((tmp_path / "items.jl").read_text()) == wanted
    report = read_report(tmp_path / "job")
    items = report["ledger"]["items"]
    assert (items["exported"], items["duplicate"]) == (len(wanted), 4 if policy == "last" else 1)
    assert report["ledger"]["requests"]["done"] == 26
    assert report["ledger"]["requests"]["difference"] == 0


@pytest.fixture
def service(tmp_path: Path) -> Iterator[T8ResumeAndRetry]:
    unpack("service", tmp_path)
    back_date(tmp_path / "state/t8/state.db")
    service = T8ResumeAndRetry({"state_dir": str(tmp_path / "state"), "log_level": "ERROR"})
    service.state_manager.open()
    yield service
    service.state_manager.close()


def test_a_service_goes_on(service: T8ResumeAndRetry) -> None:
    manager = service.state_manager
    points = {key: point.current_page for key, point in manager.resume_points().items()}
    assert points == {("LIST_COLLECTION", ""): 5, ("DETAIL_COLLECTION", "by slug"): 1}
    assert manager.resume_points()["DETAIL_COLLECTION", "by slug"].metadata == {"slugs": ["x" * 200] * 20}
    assert [point.current_page for point in manager.resume_point_history("LIST_COLLECTION")] == [5, 4]
    statuses = {state.task_type: state.status for state in manager.states()}
    assert (statuses["IMAGE_DOWNLOAD"], statuses["LIST_COLLECTION"]) == ("FINISHED", "DIED")
    imported = manager.get_failed_task(IMPORTED)
    assert imported is not None
    assert (imported.target, imported.max_retries) == ("car-model-001", 3)
    assert [task.target for task in manager.dead_tasks()] == ["car-2.jpg"]
    assert manager.revive(LetterFilter(task_type="IMAGE_DOWNLOAD")) == 1
    assert {task.target for task in manager.failed_tasks()} == {"car-1", "car-model-001", "car-2.jpg"}
    assert manager.task_counts() == (3, 0)


def test_a_service_retries_what_a_dead_process_had(service: T8ResumeAndRetry) -> None:
    done: list[tuple[str, int]] = []

    def handler(target: str, metadata: dict[str, Any]) -> bool:
        done.append((target, len(metadata)))
        return True

    service.retry_manager.register_retry_handler("DETAIL_COLLECTION", handler)
    service.retry_manager.run_due()
    assert sorted(done) == [("car-1", 2), ("car-model-001", 0)]
    assert service.state_manager.task_counts() == (0, 1)
