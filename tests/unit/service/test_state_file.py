"""The state file: who may use it, what is wrong with it, what goes in and out."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from scrapy_t8 import (
    FailedTask,
    ResumePoint,
    T8ResumeAndRetry,
    heal,
    open_dead_letters,
    open_resume_points,
    read_report,
)
from scrapy_t8.errors import FormatError, JobLocked, JobMismatch, StoreDamaged, StoreError, StoreVersion
from scrapy_t8.stores.sqlite.store import SQLiteStore
from tests.support.clock import Clock
from tests.support.process import run

Make = Callable[..., T8ResumeAndRetry]
TYPE = "DETAIL_COLLECTION"


def state_file(tmp_path: Path) -> Path:
    return tmp_path / "data/state/t8/state.db"


# -- who may use it ----------------------------------------------------------------------------------------------


def test_a_crawl_and_a_service_exclude_each_other(
    service: T8ResumeAndRetry, make_service: Make, tmp_path: Path
) -> None:
    crawl = SQLiteStore(tmp_path / "data/state/t8")
    with service, pytest.raises(JobLocked, match=f"in use by another process \\(pid {os.getpid()}\\)"):
        crawl.open()
    crawl.open()
    with pytest.raises(JobLocked, match=r"in use by a crawl, or by a tool .*use another T8_STATE_DIR"):
        make_service().start_service()
    crawl.close()
    make_service().start_service()


def test_the_state_of_a_crawl_is_refused(make_service: Make, tmp_path: Path) -> None:
    from scrapy_t8.model.job import JobRecord

    crawl = SQLiteStore(tmp_path / "data/state/t8")
    crawl.open()
    crawl.begin_job(JobRecord("job_1", "cars", {}, 0.0))
    crawl.close()
    with pytest.raises(JobMismatch, match="is that of the crawl 'cars': use another T8_STATE_DIR"):
        make_service().start_service()


def test_the_tools_of_a_crawl_read_the_state_of_a_service(service: T8ResumeAndRetry, tmp_path: Path) -> None:
    service.create_resume_point("LIST_COLLECTION", 5, 120)
    waits = service.add_failed_task(TYPE, "a", "no answer", {"x": 1})
    dead = service.state_manager.add_failed_task(TYPE, "b", "gone", max_retries=0)
    service.stop_service()
    with open_dead_letters(tmp_path / "data/state") as letters:
        tasks = {task.task_id: task for task in letters.tasks()}
        assert set(tasks) == {waits, dead}
        assert tasks[waits].metadata == {"x": 1}
        assert [letter.target for letter in letters.list()] == ["b"]
    with open_resume_points(tmp_path / "data/state") as points:
        point = points.get("LIST_COLLECTION")
        assert point is not None
        assert point.current_page == 5


def test_threads_and_two_services(make_service: Make) -> None:
    services = [make_service(), make_service()]

    def use(service: T8ResumeAndRetry, number: int) -> None:
        for page in range(50):
            service.create_resume_point(f"LIST_{number}", page)
            service.add_failed_task(TYPE, f"{number}-{page}", "")
            with service.state_manager.batch():
                service.add_failed_task(TYPE, f"{number}-{page}-b", "")
                service.create_resume_point(f"LIST_{number}", page + 1)

    threads = [threading.Thread(target=use, args=(services[number % 2], number)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tasks = list(services[0].state_manager.failed_tasks())
    assert len({task.task_id for task in tasks}) == len({task.target for task in tasks}) == len(tasks) == 12 * 100
    points = services[1].state_manager.resume_points()
    assert {point.current_page for point in points.values()} == {50}
    assert len(points) == 12


def test_after_a_fork_the_service_is_refused(service: T8ResumeAndRetry, make_service: Make) -> None:
    service.state_manager.open()
    child = os.fork()
    if not child:
        try:
            service.create_resume_point("LIST_COLLECTION", 1)
        except StoreError as error:
            service.stop_service()  # as at the end of an interpreter
            os._exit(42 if "after a fork" in str(error) else 1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42
    service.state_manager.start_run("LIST_COLLECTION")
    other = make_service()
    other.add_failed_task(TYPE, "a", "")
    state = other.state_manager.get_state("LIST_COLLECTION")
    assert state is not None
    assert state.status == "RUNNING"


# -- what is wrong with it ---------------------------------------------------------------------------------------


def test_a_file_of_another_version_is_refused(service: T8ResumeAndRetry, make_service: Make, tmp_path: Path) -> None:
    service.state_manager.open()
    service.stop_service()
    db = sqlite3.connect(state_file(tmp_path))
    db.execute("PRAGMA user_version = 99")
    db.close()
    before = state_file(tmp_path).read_bytes()
    with pytest.raises(StoreVersion, match="is of schema 99"):
        make_service().start_service()
    assert state_file(tmp_path).read_bytes() == before


@pytest.mark.parametrize("damage", [b"", b"no database at all" * 100])
def test_a_damaged_file_is_refused_and_replaced_on_demand(
    service: T8ResumeAndRetry, make_service: Make, tmp_path: Path, damage: bytes
) -> None:
    service.state_manager.open()
    service.stop_service()
    state_file(tmp_path).write_bytes(damage)
    with pytest.raises(StoreDamaged, match=r"is damaged: .* Nothing was changed"):
        make_service().start_service()
    again = make_service(resume="fresh")
    again.create_resume_point("LIST_COLLECTION", 1)
    assert list(state_file(tmp_path).parent.glob("state.db.damaged-*"))


def test_tasks_outlive_their_job(service: T8ResumeAndRetry, make_service: Make, tmp_path: Path) -> None:
    for number in range(5):
        service.add_failed_task(TYPE, str(number), "")
    service.stop_service()
    db = sqlite3.connect(state_file(tmp_path))
    db.execute("DELETE FROM job")
    db.commit()
    db.close()
    again = make_service()
    again.add_failed_task(TYPE, "new", "")
    tasks = list(again.state_manager.failed_tasks())
    assert len({task.task_id for task in tasks}) == 6


def test_a_file_that_is_taken_away_stops_the_writing(service: T8ResumeAndRetry, tmp_path: Path) -> None:
    service.create_resume_point("LIST_COLLECTION", 1)
    state_file(tmp_path).rename(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="was taken away or replaced while it was in use: put it back"):
        service.create_resume_point("LIST_COLLECTION", 2)
    (tmp_path / "elsewhere").rename(state_file(tmp_path))
    service.create_resume_point("LIST_COLLECTION", 2)


def test_a_lost_file_is_reported(
    service: T8ResumeAndRetry, make_service: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    service.create_resume_point("LIST_COLLECTION", 1)
    service.stop_service()
    state_file(tmp_path).unlink()
    assert make_service().get_resume_point("LIST_COLLECTION") is None
    assert "starting without earlier state" in caplog.text


def test_the_log_of_a_lost_file_is_not_taken_for_that_of_the_new_one(make_service: Make, tmp_path: Path) -> None:
    """A kill leaves the log behind, and SQLite would put its pages into whatever has the name of the file."""
    killed = f"""
import os, signal
from scrapy_t8 import T8ResumeAndRetry
service = T8ResumeAndRetry({{"state_dir": {str(tmp_path / "data/state")!r}}})
for page in range(50):
    service.create_resume_point("LIST_COLLECTION", page)
os.kill(os.getpid(), signal.SIGKILL)
"""
    run("-c", killed)
    log = state_file(tmp_path).with_name("state.db-wal")
    content = log.read_bytes()
    assert content
    state_file(tmp_path).unlink()
    service = make_service()
    assert service.get_resume_point("LIST_COLLECTION") is None
    service.create_resume_point("LIST_COLLECTION", 1)
    [aside] = log.parent.glob("state.db-wal.lost-*")
    assert aside.read_bytes() == content


def test_messages_of_a_service_do_not_speak_of_a_job(
    service: T8ResumeAndRetry, make_service: Make, tmp_path: Path
) -> None:
    service.state_manager.open()
    service.stop_service()
    state_file(tmp_path).write_bytes(b"")
    with pytest.raises(StoreDamaged, match="run the same command with T8_RESUME=continue"):
        make_service().start_service()


def test_a_later_change_of_directory_has_no_effect(
    make_service: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = make_service(state_dir="here")
    service.create_resume_point("LIST_COLLECTION", 1)
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "there")
    service.create_resume_point("LIST_COLLECTION", 2)


def test_a_state_directory_that_is_a_file(make_service: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot open the state in .*Use another T8_STATE_DIR"):
        make_service(state_dir=str(tmp_path / "file")).start_service()


def test_an_invalid_point_is_refused(service: T8ResumeAndRetry) -> None:
    with pytest.raises(FormatError, match="current_page: a whole number"):
        service.create_resume_point("LIST_COLLECTION", -1)
    with pytest.raises(FormatError, match="metadata"):
        service.create_resume_point("LIST_COLLECTION", 1, metadata={"x": object()})
    assert service.get_resume_point("LIST_COLLECTION") is None


# -- resume points and runs --------------------------------------------------------------------------------------


def test_the_newest_of_several_and_one_by_name(service: T8ResumeAndRetry, clock: Clock) -> None:
    service.create_resume_point("LIST_COLLECTION", 7, name="new cars")
    clock.now += 1
    service.create_resume_point("LIST_COLLECTION", 3, name="used cars")
    newest, named = service.get_resume_point("LIST_COLLECTION"), service.get_resume_point("LIST_COLLECTION", "new cars")
    assert newest is not None
    assert named is not None
    assert (newest.current_page, named.current_page) == (3, 7)
    assert service.state_manager.delete_resume_point("LIST_COLLECTION", "used cars")
    assert not service.state_manager.delete_resume_point("LIST_COLLECTION", "used cars")


def test_history_is_bounded_and_the_point_itself_stays(make_service: Make, clock: Clock) -> None:
    service = make_service(max_resume_points=10, resume_point_ttl=100, update_interval=5)
    for page in range(200):
        service.create_resume_point("LIST_COLLECTION", page)
        clock.now += 1
    service.state_manager.prune()
    assert [p.current_page for p in service.state_manager.resume_point_history("LIST_COLLECTION")] == list(
        range(195, 145, -5)
    )
    clock.now += 10_000
    service.state_manager.prune()
    assert service.state_manager.resume_point_history("LIST_COLLECTION") == []
    point = service.get_resume_point("LIST_COLLECTION")
    assert point is not None
    assert point.current_page == 199


def test_a_batch_is_seen_by_itself_and_kept_when_it_ends_by_an_exception(
    service: T8ResumeAndRetry, make_service: Make
) -> None:
    other = make_service()

    def collect() -> None:
        with service.state_manager.batch(), service.state_manager.batch():
            service.create_resume_point("LIST_COLLECTION", 1)
            assert other.get_resume_point("LIST_COLLECTION") is None
            assert service.get_resume_point("LIST_COLLECTION") is not None
            service.create_resume_point("LIST_COLLECTION", 2)
            raise KeyError

    with pytest.raises(KeyError):
        collect()
    point = other.get_resume_point("LIST_COLLECTION")
    assert point is not None
    assert point.current_page == 2


def test_runs(service: T8ResumeAndRetry, make_service: Make, clock: Clock) -> None:
    manager = service.state_manager
    run_id = manager.start_run(TYPE, total_items=10)
    assert run_id == "run_20231114_001"
    manager.update_run(TYPE, processed_items=4, failed_items=1)
    state = manager.get_state(TYPE)
    assert state is not None
    assert (state.run_id, state.status, state.total_items, state.processed_items) == (run_id, "RUNNING", 10, 4)
    manager.finish_run(TYPE)
    assert manager.start_run(TYPE) == "run_20231114_002"
    service.stop_service()
    state = make_service().state_manager.get_state(TYPE)
    assert state is not None
    assert state.status == "STOPPED"
    with pytest.raises(FormatError, match="status: one of RUNNING, FINISHED, STOPPED, DIED"):
        manager.update_run(TYPE, status="DONE")
    with pytest.raises(FormatError, match="colour: a run has no field of this name"):
        manager.update_run(TYPE, colour="red")


# -- out and in --------------------------------------------------------------------------------------------------


def fill(service: T8ResumeAndRetry) -> None:
    service.create_resume_point("LIST_COLLECTION", 5, 120, "cursor", "slug", {"tag": "汽车"}, name="new")
    service.create_resume_point("LIST_COLLECTION", 6)
    service.add_failed_task(TYPE, "waits", "API请求超时", {"x": [1, None]})
    service.state_manager.add_failed_task(TYPE, "dead", "gone", max_retries=0)
    service.state_manager.start_run(TYPE, 10)
    service.state_manager.finish_run(TYPE)


def test_exported_state_is_imported_unchanged(service: T8ResumeAndRetry, make_service: Make, tmp_path: Path) -> None:
    fill(service)
    service.state_manager.export_state(tmp_path / "out.json")
    other = make_service(state_dir=str(tmp_path / "other"))
    taken = {"resume_points": 2, "failed_tasks": 2, "states": 2}
    assert other.state_manager.import_state(tmp_path / "out.json") == taken
    exported = other.state_manager.export_state()
    assert exported["states"] == json.loads((tmp_path / "out.json").read_text())["states"]
    assert set(other.state_manager.import_state(tmp_path / "out.json").values()) == {0}
    for task in [*other.state_manager.failed_tasks(), *other.state_manager.dead_tasks()]:
        assert other.get_failed_task(task.task_id) == task


OLD_POINT = {
    "task_type": "LIST_COLLECTION",
    "current_page": 5,
    "last_cursor": None,
    "last_slug": None,
    "total_processed": 120,
    "last_update": "2024-01-15T10:30:00",
    "metadata": {},
}
OLD_TASK = {
    "task_id": "DETAIL_COLLECTION_a1b2c3d4",
    "task_type": TYPE,
    "target": "a",
    "error_message": "no answer",
    "retry_count": 2,
    "max_retries": 3,
    "next_retry_time": "2024-01-15T11:00:00",
    "created_at": "2024-01-15T10:30:00",
    "metadata": {},
}
OLD_STATE = {
    "run_id": "run_20240115_001",
    "task_type": TYPE,
    "status": "RUNNING",
    "start_time": "2024-01-15T10:00:00",
    "last_update": "2024-01-15T10:30:00",
    "total_items": 1000,
    "processed_items": 120,
    "failed_items": 5,
    "resume_points": [],
    "failed_tasks": [OLD_TASK],
}


@pytest.mark.parametrize(
    "old",
    [
        OLD_STATE,
        [OLD_POINT, OLD_TASK],
        {"resume_points": [OLD_POINT], "failed_tasks": [OLD_TASK]},
        {"resume_points": {"LIST_COLLECTION_1": OLD_POINT}, "failed_tasks": {"DETAIL_COLLECTION_a1b2c3d4": OLD_TASK}},
    ],
)
def test_state_of_the_old_module_is_imported(make_service: Make, clock: Clock, tmp_path: Path, old: Any) -> None:
    service = make_service(retry_base=7)
    (tmp_path / "old.json").write_text(json.dumps(old))
    service.state_manager.import_state(tmp_path / "old.json")
    task = service.get_failed_task("DETAIL_COLLECTION_a1b2c3d4")
    assert task is not None
    assert task.to_dict() == FailedTask.from_dict(OLD_TASK).to_dict()
    assert task.created_at == datetime(2024, 1, 15, 10, 30, tzinfo=timezone.utc)
    clock.now = datetime(2024, 1, 15, 12, tzinfo=timezone.utc).timestamp()
    service.retry_manager.register_retry_handler(TYPE, lambda target, metadata: False)
    assert service.retry_manager.run_due() == 1
    task = service.get_failed_task("DETAIL_COLLECTION_a1b2c3d4")
    assert task is not None
    assert (task.retry_count, task.next_retry_time) == (3, None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("{}", "it has no states"),
        (json.dumps({"version": 7, "states": []}), "version: this scrapy_t8 reads version 1, not 7"),
        (json.dumps([OLD_POINT, {**OLD_TASK, "retry_count": "two"}]), "[1]: retry_count: a whole number"),
        (json.dumps({"failed_tasks": [{**OLD_TASK, "created_at": "today"}]}), "failed_tasks[0]: created_at: a time"),
        (json.dumps({**OLD_STATE, "status": "DONE"}), "status: one of RUNNING"),
        (json.dumps([OLD_POINT, 3]), "[1]: a ResumePoint is an object, not int 3"),
    ],
)
def test_an_invalid_import_is_named_and_changes_nothing(
    service: T8ResumeAndRetry, tmp_path: Path, content: str, message: str
) -> None:
    (tmp_path / "old.json").write_text(content)
    with pytest.raises(FormatError) as caught:
        service.state_manager.import_state(tmp_path / "old.json")
    assert message in str(caught.value)
    assert list(service.state_manager.states()) == []


def test_a_file_that_is_not_there(service: T8ResumeAndRetry) -> None:
    with pytest.raises(FormatError, match=r"nowhere.json cannot be read: No such file"):
        service.state_manager.import_state("nowhere.json")


def test_an_older_point_does_not_take_the_place_of_a_newer_one(service: T8ResumeAndRetry) -> None:
    service.create_resume_point("LIST_COLLECTION", 50)
    old = ResumePoint.from_dict({**OLD_POINT, "last_update": "2020-01-01T00:00:00"})
    assert service.state_manager.import_state(old.to_dict())["resume_points"] == 0
    new = {**OLD_POINT, "last_update": (datetime.now(timezone.utc) + timedelta(days=1)).isoformat()}
    assert service.state_manager.import_state(new)["resume_points"] == 1


def test_a_naive_time_is_utc(service: T8ResumeAndRetry) -> None:
    naive = ResumePoint("LIST_COLLECTION", 3, last_update=datetime(2030, 1, 1))
    service.state_manager.import_state([naive.to_dict()])
    point = service.get_resume_point("LIST_COLLECTION")
    assert point is not None
    assert point.last_update == datetime(2030, 1, 1, tzinfo=timezone.utc)


@pytest.mark.parametrize("closed", ["t8", "state.db", "writer"])
def test_a_state_of_another_user_is_one_clear_line(
    make_service: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    make_service(state_dir=str(tmp_path / "state")).add_failed_task("DETAIL_COLLECTION", "a", "")
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != closed and access(path, mode))
    monkeypatch.setattr(os, "geteuid", lambda: 64005)
    uses = [
        lambda: make_service(state_dir=str(tmp_path / "state")).start_service(),
        lambda: open_dead_letters(tmp_path / "state").__enter__(),
        lambda: open_resume_points(tmp_path / "state").__enter__(),
        lambda: heal(tmp_path / "state"),
        lambda: read_report(tmp_path / "state"),
    ]
    for use in uses if closed != "writer" else uses[:4]:
        with pytest.raises(StoreError) as caught:
            use()
        message = str(caught.value)
        assert f"{closed} belongs to " in message
        assert "by this user (64005). Nothing was changed. Run this as " in message
        assert "chown -R 64005 " in message
        assert "\n" not in message
