"""The commands on the state of a service, while it runs and after."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from scrapy_t8 import CollectionState, FailedTask, T8ResumeAndRetry
from tests.support.command import T8
from tests.support.process import run

LIST, DETAIL = "LIST_COLLECTION", "DETAIL_COLLECTION"
CONFIG = {"log_level": "CRITICAL", "max_failed_tasks": 5000, "retry_base": 300.0, "retry_jitter": 0.0}


@pytest.fixture
def filled(t8: T8) -> Iterator[T8ResumeAndRetry]:
    """In T8_STATE_DIR, as it is by default: three tasks that wait, two that are dead, a point, a run."""
    made = T8ResumeAndRetry({**CONFIG, "state_dir": "data/state"})
    with made.state_manager.batch():
        for number in range(3):
            made.add_failed_task(DETAIL, f"car-{number}", "API请求超时 token=hunter2", {"page": number})
        for number in range(2):
            made.state_manager.add_failed_task(DETAIL, f"dead-{number}", "\x1b[1mgone", max_retries=0)
    made.create_resume_point(LIST, current_page=5, total_processed=120, metadata={"tag": "汽车交通"})
    made.state_manager.start_run(LIST, total_items=1000)
    yield made
    made.stop_service()


def test_status(t8: T8, filled: T8ResumeAndRetry) -> None:
    printed = t8.json("status")
    assert (printed["kind"], printed["state"], printed["running"]) == ("service", "running", True)
    assert printed["tasks"] == {
        "admitted": 5,
        "done": 0,
        "waiting": 3,
        "leased": 0,
        "dead": 2,
        "discarded": 0,
        "difference": 0,
    }
    assert printed["task_types"] == [{"task_type": DETAIL, "waiting": 3, "leased": 0, "dead": 2}]
    assert printed["collections"][0]["status"] == "RUNNING"
    assert printed["points"][0]["current_page"] == 5
    assert t8("status") == 0
    assert "tasks: 5 admitted = 3 waiting + 2 dead" in t8.out
    filled.stop_service()
    assert t8.json("status")["state"] == "stopped"
    assert t8("status", "--check") == 3


def test_list_and_show(t8: T8, filled: T8ResumeAndRetry) -> None:
    printed = t8.json("failed", "list")
    assert (printed["kind"], printed["total"]) == ("service", 5)
    by_hand = [*filled.state_manager.failed_tasks(), *filled.state_manager.dead_tasks()]
    found = [FailedTask.from_dict(task) for task in printed["tasks"]]
    masked = [{**task.to_dict(), "error_message": task.error_message.replace("hunter2", "***")} for task in by_hand]
    assert [task.to_dict() for task in found] == masked
    for filters, number in (
        *(("--state dead", 2), ("--state waiting", 3), ("--text CAR-1", 1), ("--text 超时", 3), ("--kind handler", 2)),
        *(("--task-type OTHER", 0), ("--since 1h", 5), ("--until 1h", 0), ("--text car --limit 2", 2)),
    ):
        assert len(t8.json("failed", "list", *filters.split())["tasks"]) == number, filters
    groups = t8.json("failed", "groups")["groups"]
    assert [(row["count"], row["state"], row["error"]) for row in groups] == [
        *((3, "waiting", "API请求超时 token=***"), (2, "dead", "\x1b[1mgone")),
    ]
    assert t8("failed", "groups") == 0
    names, first = t8.out.splitlines()[1:3]
    assert names.split() == ["count", "state", "task", "type", "error", "first", "last", "example"]
    assert first[names.index("state") :].startswith("waiting ")
    assert t8("failed", "list") == 0
    assert "\x1b" not in t8.out
    assert "hunter2" not in t8.out
    shown = t8.json("failed", "show", by_hand[0].task_id)
    assert (shown["target"], shown["state"], shown["metadata"]) == ("car-0", "waiting", {"page": 0})
    assert "there is no task nobody" in t8.refused(2, "failed", "show", "nobody")
    for name in ("--host x", "--callback x", "--status 404", "--job x"):
        assert "is about requests of a crawl" in t8.refused(2, "failed", "list", *name.split())
    assert t8("failed", "export", "--secrets") == 0
    assert [FailedTask.from_dict(json.loads(line)) for line in t8.out.splitlines()] == by_hand


def test_changes_while_it_runs(t8: T8, filled: T8ResumeAndRetry) -> None:
    dead = [task.task_id for task in filled.state_manager.dead_tasks()]
    assert t8("failed", "revive", dead[0]) == 0
    assert filled.state_manager.task_counts() == (4, 1)
    assert t8("failed", "revive", "--text", "dead", "--yes") == 0
    assert filled.state_manager.task_counts() == (5, 0)
    assert t8("failed", "discard", "--text", "car-1", "--dry-run") == 0
    assert t8.out == "1 task would be discarded for good.\n"
    assert t8("failed", "discard", "--text", "car-1", "--yes") == 0
    assert filled.state_manager.task_counts() == (4, 0)
    assert t8("points", "set", LIST, "--page", "9") == 0
    point = filled.get_resume_point(LIST)
    assert point is not None
    assert (point.current_page, point.total_processed, point.metadata) == (9, 120, {"tag": "汽车交通"})
    assert t8("points", "delete", LIST, "--yes") == 0
    assert filled.get_resume_point(LIST) is None
    printed = t8.json("status")["tasks"]
    assert (printed["discarded"], printed["difference"]) == (1, 0)
    assert t8.json("verify")["ok"]
    filled.add_failed_task(DETAIL, "after", "it goes on")
    assert filled.state_manager.task_counts() == (5, 0)


def test_a_leased_task_is_not_discarded(t8: T8, filled: T8ResumeAndRetry) -> None:
    leased = filled.state_manager.parts.tasks.lease([DETAIL], 1)
    assert leased == []  # nothing is due yet
    filled.state_manager.parts.tasks._clock = lambda: 1e11
    (task,) = filled.state_manager.parts.tasks.lease([DETAIL], 1)
    assert t8.json("status")["tasks"]["leased"] == 1
    assert t8("failed", "discard", task.record.task_id, "--yes") == 0
    assert t8.out.startswith("0 of 1 task are discarded for good.\nThe others stay: they are leased")
    filled.state_manager.parts.context.stored_tasks.release(task.entry)


def test_reading_and_importing_prune_nothing(t8: T8, filled: T8ResumeAndRetry) -> None:
    with filled.state_manager.batch():
        for number in range(1500):
            filled.state_manager.add_failed_task("OTHER", str(number), "gone", max_retries=0)
    filled.stop_service()
    assert t8("export", "-o", "state.json") == 0
    assert t8("import", "state.json") == 0
    assert t8.json("status")["tasks"]["dead"] == 1502


def test_the_command_exports_what_the_service_exports(t8: T8, filled: T8ResumeAndRetry) -> None:
    theirs = filled.state_manager.export_state()
    assert t8("export") == 0
    ours = json.loads(t8.out)
    assert list(ours) == list(theirs) == ["version", "exported_at", "states"]
    assert ours["states"] == json.loads(json.dumps(theirs["states"]))
    assert [CollectionState.from_dict(state).status for state in ours["states"]] == ["STOPPED", "RUNNING"]
    Path("state.json").write_text(t8.out)
    assert t8("import", "state.json", "--jobdir", "other", "--create") == 0
    assert t8.out == "Imported: 1 resume points, 5 failed tasks, 2 states, 0 dead letters\n"


def test_report_and_heal(t8: T8, filled: T8ResumeAndRetry) -> None:
    assert t8("report", "--output", "report") == 0
    assert "heal is for crawls" in t8.refused(2, "heal")


KILLED = """
import os, signal
from scrapy_t8 import T8ResumeAndRetry
t8 = T8ResumeAndRetry({"state_dir": "data/state", "log_level": "CRITICAL", "retry_base": 0.01})
t8.state_manager.start_run("DETAIL_COLLECTION", total_items=3)
t8.retry_manager.register_retry_handler("DETAIL_COLLECTION", lambda *a: os.kill(os.getpid(), signal.SIGKILL))
t8.start_service()
t8.add_failed_task("DETAIL_COLLECTION", "car", "it failed")
import time; time.sleep(900)
"""


@pytest.mark.slow
def test_a_service_that_was_killed_at_work(t8: T8, tmp_path: Path) -> None:
    done = run("-c", KILLED, cwd=tmp_path)
    assert done.returncode == -signal.SIGKILL
    printed = t8.json("status")
    assert (printed["state"], printed["tasks"]["waiting"], printed["tasks"]["leased"]) == ("killed", 1, 0)
    assert printed["collections"][0]["status"] == "DIED"
    assert t8.json("verify")["ok"]
    assert t8("failed", "discard", "--yes") == 0
