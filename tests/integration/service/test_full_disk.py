"""A disk that is full."""

from __future__ import annotations

from pathlib import Path

from tests.support.process import run

CODE = """
import resource, signal
from scrapy_t8 import T8ResumeAndRetry
from scrapy_t8.errors import StoreError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
t8 = T8ResumeAndRetry({"enable_auto_retry": False, "log_level": "CRITICAL"})
added = [t8.add_failed_task("X", "first", "")]
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
try:
    while True:
        added.append(t8.add_failed_task("X", f"{len(added)}" + "y" * 5000, ""))
except StoreError as error:
    print(error)
try:
    with t8.state_manager.batch():
        t8.create_resume_point("LIST_COLLECTION", 1, metadata={"x": "y" * 5000})
except StoreError as error:
    print("again", error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
added.append(t8.add_failed_task("X", "last", ""))
assert sorted(task.task_id for task in t8.state_manager.failed_tasks()) == sorted(added)
t8.stop_service()
t8 = T8ResumeAndRetry({"enable_auto_retry": False, "log_level": "CRITICAL"})
assert sorted(task.task_id for task in t8.state_manager.failed_tasks()) == sorted(added)
"""


def test_nothing_acknowledged_is_lost_and_it_goes_on_when_there_is_space(tmp_path: Path) -> None:
    done = run("-c", CODE, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith("cannot write the state in ")
    assert "Make space, then run the same command again" in first
    assert second.startswith("again cannot write the state in ")
