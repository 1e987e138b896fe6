"""Processes that share a state and are killed with SIGKILL."""

from __future__ import annotations

import random
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from scrapy_t8 import T8ResumeAndRetry
from tests.support.process import Process, environment, wait_until

from .worker import CONFIG

KILLS = 10

pytestmark = pytest.mark.slow


@contextmanager
def running(what: str, here: Path, log: str = "log") -> Iterator[Process]:
    """Run the worker while the block runs; then it is killed."""
    arguments = ["-m", "tests.integration.service.worker", what, str(here / "state"), str(here / log)]
    process = Process(arguments, here, environment=environment(), log=here / f"{what}.err")
    try:
        yield process
    finally:
        process.kill()


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def opened(here: Path) -> T8ResumeAndRetry:
    return T8ResumeAndRetry({**CONFIG, "state_dir": str(here / "state"), "enable_auto_retry": False})


def test_what_a_call_has_written_survives(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for _ in range(KILLS):
        before = len(lines(log))
        with running("points", tmp_path):
            wait_until(lambda before=before: len(lines(log)) > before + 50)  # type: ignore[misc]
            time.sleep(random.random() / 20)
        logged = int(lines(log)[-1])
        with opened(tmp_path) as t8:
            point = t8.get_resume_point("LIST_COLLECTION")
            assert point is not None
            assert logged <= point.current_page <= logged + 1
            assert len(t8.state_manager.resume_point_history("LIST_COLLECTION")) <= 100 + 50


def test_a_batch_is_never_ahead_and_loses_one_group_at_most(tmp_path: Path) -> None:
    for number in range(KILLS):
        log, reached = tmp_path / f"log{number}", random.randrange(300, 1000)
        with running("batches", tmp_path, log.name):
            wait_until(lambda log=log, reached=reached: len(lines(log)) > reached)  # type: ignore[misc]
        with opened(tmp_path) as t8:
            point = t8.get_resume_point("LIST_COLLECTION")
            assert point is not None
            logged = len(lines(log))
            assert logged - 101 <= point.current_page <= logged


def test_tasks_of_many_threads_of_two_processes_are_all_there(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for turn in range(1, 6):
        with running("adding", tmp_path), running("adding", tmp_path):
            wait_until(lambda turn=turn: len(lines(log)) > 400 * turn)  # type: ignore[misc]
    logged = lines(log)
    assert len(logged) == len(set(logged))
    with opened(tmp_path) as t8:
        stored = {task.task_id for task in t8.state_manager.failed_tasks()}
        assert set(logged) <= stored
        # Each of ten processes had eight threads, of which each may have been between commit and log.
        assert len(stored) <= len(logged) + 80
        job = t8.state_manager.parts.context.store.job()
        assert job is not None
        assert job.ledger.difference(len(stored)) == 0


def test_a_state_that_is_opened_and_closed_all_the_time(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for turn in range(1, KILLS + 1):
        with ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(running("churning", tmp_path))
            wait_until(lambda turn=turn: len(lines(log)) > 300 * turn)  # type: ignore[misc]
            time.sleep(random.random() / 20)
    logged = lines(log)
    assert len(logged) == len(set(logged))
    with opened(tmp_path) as t8:
        stored = {task.task_id for task in t8.state_manager.failed_tasks()}
        assert set(logged) <= stored
        assert len(stored) <= len(logged) + 3 * KILLS
    db = sqlite3.connect(tmp_path / "state/t8/state.db")
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


def test_no_task_is_lost_or_run_twice_at_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    number = 600
    with opened(tmp_path) as t8, t8.state_manager.batch():
        for index in range(number):
            t8.add_failed_task("DETAIL_COLLECTION", f"car-{index}", "no answer")
    for _ in range(KILLS):
        before = len(lines(log))
        with running("retrying", tmp_path), running("retrying", tmp_path):
            wait_until(lambda before=before: len(lines(log)) > before + 80 or _ended(log) == number)  # type: ignore[misc]
            time.sleep(random.random() / 20)
    with running("retrying", tmp_path), running("retrying", tmp_path):
        wait_until(lambda: _ended(log) == number)
        with opened(tmp_path) as t8:
            wait_until(lambda: t8.state_manager.task_counts() == (0, 0))
    assert [line for line in lines(log) if line.startswith("overlap")] == []
    with opened(tmp_path) as t8:
        assert t8.state_manager.task_counts() == (0, 0)
        job = t8.state_manager.parts.context.store.job()
        assert job is not None
        assert (job.ledger.done, job.ledger.difference(0)) == (number, 0)
    begun = Counter(line.split()[1] for line in lines(log) if line.startswith("begin"))
    # Those that were under way at a kill are done again: of each of two processes, four.
    assert sum(begun.values()) - number <= KILLS * 2 * 4


def _ended(log: Path) -> int:
    return len({line.split()[1] for line in lines(log) if line.startswith("end")})


def test_an_import_is_all_or_nothing(tmp_path: Path) -> None:
    number = 3000
    with opened(tmp_path / "from") as t8, t8.state_manager.batch():
        for index in range(number):
            t8.add_failed_task("DETAIL_COLLECTION", f"car-{index}", "no answer")
    with opened(tmp_path / "from") as t8:
        t8.state_manager.export_state(tmp_path / "state.json")
    script, output = tmp_path / "script.py", tmp_path / "output"
    script.write_text(
        "import sys\nfrom scrapy_t8 import T8ResumeAndRetry\n"
        "with T8ResumeAndRetry({'state_dir': 'state', 'enable_auto_retry': False}) as t8:\n"
        "    print('begun', flush=True)\n    t8.state_manager.import_state('state.json')\n"
    )

    def start() -> Process:
        output.unlink(missing_ok=True)
        files = {"log": tmp_path / "error", "output": output}
        return Process([str(script)], tmp_path, environment=environment(), **files)

    for turn in range(KILLS):
        process = start()
        wait_until(lambda: output.exists() and output.read_text(), meanwhile=lambda process=process: process.is_alive)  # type: ignore[misc]
        time.sleep(turn * 0.5 / KILLS)
        process.kill()
        with opened(tmp_path) as t8:
            assert t8.state_manager.task_counts()[0] in (0, number)
    assert start().wait() == 0
    with opened(tmp_path) as t8:
        assert t8.state_manager.task_counts() == (number, 0)


def test_a_task_that_kills_its_process_is_buried(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os, time\nfrom scrapy_t8 import T8ResumeAndRetry\n"
        "t8 = T8ResumeAndRetry({'state_dir': '.', 'retry_base': 0, 'crash_limit': 3})\n"
        "t8.retry_manager.register_retry_handler('POISON', lambda t, m: os.kill(os.getpid(), 9))\n"
        "t8.start_service()\n"
        "while t8.state_manager.task_counts()[0]:\n    time.sleep(0.01)\n"
    )
    with T8ResumeAndRetry({"state_dir": str(tmp_path), "enable_auto_retry": False, "retry_base": 0}) as t8:
        task_id = t8.add_failed_task("POISON", "a", "")
    ends = [Process([str(script)], tmp_path, environment=environment(), log=tmp_path / "log").wait() for _ in range(4)]
    assert ends == [-9, -9, -9, 0]
    with T8ResumeAndRetry({"state_dir": str(tmp_path), "enable_auto_retry": False}) as t8:
        task = t8.get_failed_task(task_id)
        assert task is not None
        assert task.next_retry_time is None
        assert task.error_message == "the process died while the handler was at work"
