"""``scrapy t8 export`` and ``import``"""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from scrapy_t8 import CollectionState, open_dead_letters, open_resume_points
from tests.support.command import T8
from tests.support.crawl import Crawl
from tests.support.site import Server

from .conftest import new_crawl

pytestmark = pytest.mark.slow


def exported(t8: T8, crawl: Crawl) -> dict[str, Any]:
    assert t8("export", "-o", "state.json", "--jobdir", crawl.job) == 0
    assert os.stat("state.json").st_mode & 0o777 == 0o600
    document: dict[str, Any] = json.loads(Path("state.json").read_text())
    return document


def test_what_is_exported(t8: T8, stopped: Crawl, killed: Crawl) -> None:
    document = exported(t8, stopped)
    states = {state["task_type"]: CollectionState.from_dict(state) for state in document["states"]}
    assert set(states) == {"LIST_COLLECTION", "DETAIL_COLLECTION"}
    assert states["LIST_COLLECTION"].resume_points[0].current_page == 6
    failed = states["DETAIL_COLLECTION"].failed_tasks
    assert len(failed) == 3
    assert sum(task.next_retry_time is not None for task in failed) == 1
    with open_resume_points(stopped.copy(Path("copy")).job) as points:
        assert {state.task_type: state for state in points.states()} == states
    assert [letter["kind"] for letter in document["dead_letters"]] == ["http", "parse"] or len(
        document["dead_letters"]
    ) == 2
    assert document["job"]["spider"] == "cars"
    assert t8("export", "--jobdir", stopped.job) == 0
    assert json.loads(t8.out)["states"] == document["states"]
    assert {state["status"] for state in exported(t8, killed)["states"]} == {"DIED"}


def test_an_export_is_imported_into_another_job(t8: T8, stopped: Crawl, server: Server, tmp_path: Path) -> None:
    document = exported(t8, stopped)
    other = new_crawl(server, tmp_path / "other")
    other.site.alarm(20)
    other.start().until(lambda: other.committed().exported, "an item").kill()
    other.site.go_on()
    at = ("--jobdir", other.job)
    assert t8("points", "set", "LIST_COLLECTION", "--page", "1", *at) == 0
    document["states"][1]["resume_points"][0]["last_update"] = "2099-01-01T00:00:00Z"
    before = t8.json("status", *at)["dead_letters"]
    Path("state.json").write_text(json.dumps(document))
    assert t8("import", "state.json", *at) == 0
    assert t8.out.splitlines() == [
        "Imported: 1 resume points, 0 failed tasks, 0 states, 2 dead letters",
        "left out: 1; a crawl has no tasks that wait, a service no dead letters",
    ]
    printed = t8.json("status", *at)
    assert printed["points"][0]["current_page"] == 6
    assert printed["dead_letters"] == before + 2
    assert t8("import", "state.json", *at) == 0
    assert t8.out.startswith("Imported: 0 resume points, 0 failed tasks, 0 states, 0 dead letters\n")
    foreign = document["job"]["id"]
    assert t8("failed", "revive", "--job", foreign, "--yes", *at) == 0
    printed = t8.json("status", *at)
    assert printed["requests"]["difference"] == 0
    with open_dead_letters(stopped.copy(tmp_path / "copy").job) as letters:
        urls = {letter.url for letter in letters.list()}
    waiting = [task for state in exported(t8, other)["states"] for task in state["failed_tasks"]]
    assert urls <= {task["metadata"]["url"] for task in waiting}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "states: the job of a crawl imports only what export has written"),
        ('{"version": 9, "states": []}', "version: this scrapy_t8 reads version 1, not 9"),
        ('{"states": [1]}', "states[0]: an object is needed"),
        (
            '{"states": [{"resume_points": [{"task_type": "A"}]}]}',
            "states[0]: resume_points[0]: current_page: a ResumePoint needs",
        ),
        ('{"states": [], "dead_letters": [{}]}', "dead_letters[0]: payload: a DeadLetter needs this field"),
        ('{"states": [], "dead_letters": [{"payload": "é"}]}', "dead_letters[0]: payload: base64 is needed"),
    ],
)
def test_an_invalid_import_changes_nothing(t8: T8, mine: Crawl, document: str, message: str) -> None:
    before = t8.json("status", "--jobdir", mine.job)
    Path("bad.json").write_text(document)
    line = t8.refused(1, "import", "bad.json", "--jobdir", mine.job)
    assert message in line
    assert line.endswith("Nothing was imported")
    assert {**t8.json("status", "--jobdir", mine.job), "generated": ""} == {**before, "generated": ""}


def test_missing_files(t8: T8, mine: Crawl) -> None:
    assert "nowhere.json cannot be read" in t8.refused(2, "import", "nowhere.json", "--jobdir", mine.job)
    assert "cannot be written" in t8.refused(1, "export", "-o", "no/where.json", "--jobdir", mine.job)


def test_state_of_the_earlier_module_makes_a_service(t8: T8, monkeypatch: pytest.MonkeyPatch) -> None:
    task = {
        "task_id": "DETAIL_COLLECTION_a1b2c3d4",
        "task_type": "DETAIL_COLLECTION",
        "target": "car-model-001",
        "error_message": "API请求超时",
        "retry_count": 2,
        "max_retries": 3,
        "metadata": {},
        "next_retry_time": "2024-01-15T11:00:00",
        "created_at": "2024-01-15T10:30:00",
    }
    Path("old.json").write_text(json.dumps({"failed_tasks": [task]}))
    assert t8.refused(1, "import", "old.json", "--jobdir", "data/state").startswith("scrapy t8: there is no job")
    assert t8("import", "old.json", "--jobdir", "data/state", "--create") == 0
    assert t8.out == "Imported: 0 resume points, 1 failed tasks, 0 states, 0 dead letters\n"
    (printed,) = t8.json("failed", "list")["tasks"]
    assert printed["error_message"] == "API请求超时"
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps([{**task, "task_id": "OTHER_00000001"}])))
    assert t8("import", "-") == 0
    assert t8.json("status")["tasks"]["waiting"] == 1, "another id, but the same task of the same target"
    bad = {**task, "retry_count": "two", "task_id": "OTHER_00000002"}
    Path("bad.json").write_text(json.dumps([bad]))
    assert "retry_count: a whole number is needed" in t8.refused(1, "import", "bad.json")
