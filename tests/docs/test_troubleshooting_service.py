"""Each problem of a service in docs/troubleshooting.md is reproduced, and each remedy is tried."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from scrapy_t8 import ResumeValidator, SQLDatabase, T8ResumeAndRetry, open_dead_letters
from scrapy_t8.__main__ import main
from scrapy_t8.errors import T8Error
from scrapy_t8.service.logs import FORMAT, TIME
from scrapy_t8.stores.sqlite.file import SCHEMA_VERSION
from tests.support.process import run

from .troubleshooting_page import Situation, check, no_power, quoted

TYPE = "DETAIL_COLLECTION"
STATE = Path("data/state/t8/state.db")
SITUATIONS: dict[str, Situation] = {}
SLOW = ("The state file cannot be read or written", "Debug logs")


def situation(trouble: str) -> Callable[[Situation], Situation]:
    def note(function: Situation) -> Situation:
        SITUATIONS[trouble] = function
        return function

    return note


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """What is in the log, as the service writes it."""
    caplog.set_level(logging.DEBUG, "T8ResumeAndRetry")
    form = logging.Formatter(FORMAT, TIME)
    return lambda: "\n".join(form.format(record) for record in caplog.records)


def troubles() -> list[Any]:
    names = [trouble for trouble, side in quoted() if side == "service"]
    return [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in names]


@pytest.mark.parametrize("trouble", troubles())
def test_the_page_quotes_what_is_said(
    trouble: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Callable[[], str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("T8_")]:
        monkeypatch.delenv(name)
    texts = SITUATIONS[trouble](tmp_path)
    check(trouble, "service", f"{texts}\n{said()}")


def test_all_situations_are_on_the_page() -> None:
    assert set(SITUATIONS) == {trouble for trouble, side in quoted() if side == "service"}


def refused(act: Callable[[], object]) -> str:
    """How *act* is refused, as a traceback would end."""
    with pytest.raises(T8Error) as caught:
        act()
    return f"{type(caught.value).__name__}: {caught.value}"


@contextmanager
def service(db_manager: Any = None, **config: Any) -> Any:
    with T8ResumeAndRetry(config, db_manager) as t8:
        yield t8


def filled() -> None:
    """A state with a point, and a task that waits."""
    with service(enable_auto_retry=False) as t8:
        t8.create_resume_point("LIST_COLLECTION", 5, 100)
        t8.add_failed_task(TYPE, "a", "no answer")
        t8.state_manager.export_state("state.json")


def is_all_there(**config: Any) -> bool:
    with service(enable_auto_retry=False, **config) as t8:
        point = t8.get_resume_point("LIST_COLLECTION")
        return point is not None and point.current_page == 5 and t8.state_manager.task_counts() == (1, 0)


# -- the state file ----------------------------------------------------------------------------------------------


@situation("The state file is lost")
def lost(here: Path) -> str:
    filled()
    STATE.unlink()
    with service(enable_auto_retry=False) as t8:
        assert t8.get_resume_point("LIST_COLLECTION") is None
        t8.state_manager.import_state("state.json")
    assert is_all_there()
    with service() as t8:
        STATE.rename(here / "elsewhere")
        texts = refused(lambda: t8.create_resume_point("LIST_COLLECTION", 6))
        (here / "elsewhere").rename(STATE)
    assert is_all_there()
    return texts


@situation("The state file is damaged")
def damaged(here: Path) -> str:
    filled()
    os.truncate(STATE, STATE.stat().st_size - 4096)
    before = STATE.read_bytes()
    texts = refused(lambda: T8ResumeAndRetry().start_service())
    assert STATE.read_bytes() == before
    assert is_all_there(resume="continue")
    [aside] = STATE.parent.glob("state.db.damaged-*[0-9]")
    assert aside.read_bytes() == before
    assert is_all_there()
    return texts


@situation("The state file cannot be read or written")
def unreadable(here: Path) -> str:
    filled()
    STATE.chmod(0o000)
    texts = as_somebody("T8ResumeAndRetry().start_service()")
    STATE.chmod(0o600)
    STATE.parent.chmod(0o500)
    texts += as_somebody("T8ResumeAndRetry().start_service()")
    STATE.parent.chmod(0o700)
    assert as_somebody("print(T8ResumeAndRetry().get_resume_point('LIST_COLLECTION').current_page)") == "5\n"
    Path("file").write_text("")
    return texts + refused(lambda: T8ResumeAndRetry({"state_dir": "file"}).start_service())


def as_somebody(code: str) -> str:
    """What *code* prints or is refused with, for somebody without root's power."""
    program = f"""
from scrapy_t8 import T8Error, T8ResumeAndRetry
try:
    {code}
except T8Error as error:
    print(f"{{type(error).__name__}}: {{error}}")
"""
    done = run("-c", program, preexec_fn=no_power)
    assert done.returncode == 0, done.stderr
    return done.stdout


@situation("The state file is of another version")
def other_version(here: Path) -> str:
    filled()
    set_version(SCHEMA_VERSION - 1)
    texts = refused(lambda: T8ResumeAndRetry().start_service())
    set_version(SCHEMA_VERSION)  # the release that wrote it
    with service(enable_auto_retry=False) as old:
        old.state_manager.export_state("old.json")
    with service(enable_auto_retry=False, state_dir="data/new") as new:
        new.state_manager.import_state("old.json")
    assert is_all_there(state_dir="data/new")
    return texts


def set_version(number: int) -> None:
    db = sqlite3.connect(STATE)
    db.execute(f"PRAGMA user_version = {number}")
    db.close()


@situation("The state is in use by another process")
def in_use(here: Path) -> str:
    filled()
    with open_dead_letters("data/state"):
        texts = refused(lambda: T8ResumeAndRetry().start_service())
    assert is_all_there()
    return texts


@situation("The disk is full")
def full_disk(here: Path) -> str:
    program = """
import resource, signal
from scrapy_t8 import T8Error, T8ResumeAndRetry

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
t8 = T8ResumeAndRetry({"enable_auto_retry": False})
t8.create_resume_point("LIST_COLLECTION", 5, 100)
t8.add_failed_task("DETAIL_COLLECTION", "a", "no answer")
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
try:
    while True:
        t8.create_resume_point("LIST_COLLECTION", 5, 100, metadata={"x": "y" * 5000})
except T8Error as error:
    print(f"{type(error).__name__}: {error}")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
t8.create_resume_point("LIST_COLLECTION", 5, 100)
"""
    done = run("-c", program)
    assert done.returncode == 0, done.stderr
    assert is_all_there()
    return done.stdout


# -- the start ---------------------------------------------------------------------------------------------------


@situation("The start fails")
def no_start(here: Path) -> str:
    texts = [refused(lambda: T8ResumeAndRetry({"max_workerz": 3}))]
    for name, value in (("T8_MAX_WORKERS", "many"), ("T8_WORKERS", "3")):
        os.environ[name] = value
        try:
            texts.append(refused(T8ResumeAndRetry))
            assert main(["--mode", "config"]) == 2
        finally:
            del os.environ[name]
    assert main(["--mode", "config"]) == 0
    crawl_of(Path("jobs/cars"))
    texts.append(refused(lambda: T8ResumeAndRetry({"state_dir": "jobs/cars"}).start_service()))
    filled()
    t8 = T8ResumeAndRetry({"enable_auto_retry": False})
    t8.start_service()
    texts.append(in_a_child(lambda: t8.create_resume_point("LIST_COLLECTION", 6)))
    assert in_a_child(lambda: T8ResumeAndRetry().create_resume_point("OTHER", 6)) == ""
    t8.stop_service()
    assert is_all_there()
    return "\n".join(texts)


def crawl_of(directory: Path) -> None:
    from scrapy_t8.model.job import JobRecord
    from scrapy_t8.stores.sqlite.store import SQLiteStore

    store = SQLiteStore(directory / "t8")
    store.open()
    store.begin_job(JobRecord("job_1", "cars", {}, 0.0))
    store.close()


def in_a_child(act: Callable[[], object]) -> str:
    """How *act* is refused in a forked child."""
    reader, writer = os.pipe()
    if not (child := os.fork()):
        try:
            act()
        except T8Error as error:
            os.write(writer, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as texts:
        return texts.read()


@situation("Nothing is retried")
def no_retries(here: Path) -> str:
    done: list[str] = []

    def handler(target: str, metadata: dict[str, Any]) -> bool:
        return not done.append(target)

    with service(enable_auto_retry=False) as t8:
        t8.retry_manager.register_retry_handler(TYPE, handler)
        t8.add_failed_task(TYPE, "a", "no answer")
        assert not t8.start_service()
    again = T8ResumeAndRetry({"retry_base": 0}, clock=lambda: time.time() + 3600)
    again.retry_manager.run_due()
    assert done == []
    again.retry_manager.register_retry_handler(TYPE, handler)
    again.retry_manager.run_due()
    again.stop_service()
    assert done == ["a"]
    return ""


# -- validation and logs -----------------------------------------------------------------------------------------


class Silent:
    """A database that does not answer."""

    def __init__(self, error: Exception | None) -> None:
        self._error = error

    def count_items(self, task_type: str) -> int:
        if self._error is not None:
            raise self._error
        time.sleep(900)
        return 0

    def has_item(self, task_type: str, key: str) -> bool:
        return False

    def iter_keys(self, task_type: str) -> list[str]:
        return []


def findings(t8: T8ResumeAndRetry) -> str:
    """The messages of all findings; and that it is valid if there are none."""
    result = t8.validate_sync()
    lists = (result["states"], result["resume_points"], result["failed_tasks"], result["database"].get("problems", []))
    found = [finding["message"] for part in lists for finding in part]
    assert result["valid"] is not bool(found)
    return "\n".join(found)


@situation("Validation fails: the database does not answer")
def no_answer(here: Path) -> str:
    tables = {TYPE: ("cars", "slug")}
    with service(db_manager=Silent(ConnectionError("no answer"))) as t8:
        t8.state_manager.start_run(TYPE, total_items=1)
        texts = [findings(t8)]
        t8.get_metrics()
        t8.validator = ResumeValidator(t8.state_manager, Silent(None), timeout=0.1)
        texts.append(findings(t8))
        t8.validator = ResumeValidator(t8.state_manager, SQLDatabase("sqlite:///shop.db", tables))
        texts.append(findings(t8))
        with sqlite3.connect("shop.db") as shop:
            shop.execute("CREATE TABLE car (slug)")
        texts.append(findings(t8))
        with sqlite3.connect("shop.db") as shop:
            shop.execute("ALTER TABLE car RENAME TO cars")
        assert findings(t8) == ""
    return "\n".join(texts)


@situation("Validation fails: items")
def bad_items(here: Path) -> str:
    shop = sqlite3.connect("shop.db", isolation_level=None)
    shop.execute("CREATE TABLE cars (slug)")
    shop.executemany("INSERT INTO cars VALUES (?)", [["car-1"], ["car-1"], ["car-2"]])

    class Validator(ResumeValidator):
        def expected_keys(self, task_type: str) -> list[str]:
            return [f"car-{number}" for number in range(1, 6)]

    with service(db_manager=SQLDatabase("sqlite:///shop.db", {TYPE: ("cars", "slug")})) as t8:
        t8.validator = Validator(t8.state_manager, t8.db_manager)
        t8.state_manager.start_run(TYPE, total_items=5)
        t8.state_manager.update_run(TYPE, processed_items=5)
        t8.state_manager.finish_run(TYPE)
        texts = findings(t8)
        assert t8.check_alerts()
        items = t8.validate_sync()["items"][TYPE]
        shop.execute("DELETE FROM cars WHERE rowid = 1")
        shop.executemany("INSERT INTO cars VALUES (?)", [[key] for key in items["missing_keys"]])
        assert (findings(t8), t8.check_alerts()) == ("", [])
    shop.close()
    return texts


@situation("Validation fails: points and tasks")
def bad_records(here: Path) -> str:
    task = {"task_id": f"{TYPE}_a1b2c3d4", "task_type": TYPE, "target": "a", "error_message": "", "metadata": {}}
    counts = {"retry_count": 4, "max_retries": 3, "created_at": "2024-01-15T10:30:00"}
    with service(enable_auto_retry=False, update_interval=0) as t8:
        t8.state_manager.import_state({**task, **counts, "next_retry_time": "2024-01-15T10:31:00"})
        t8.state_manager.start_run("LIST_COLLECTION", total_items=100)
        t8.create_resume_point("LIST_COLLECTION", 7, 140)
        t8.create_resume_point("LIST_COLLECTION", 3, 140)
        t8.state_manager.update_run("LIST_COLLECTION", processed_items=140)
        texts = findings(t8)
        t8.state_manager.remove_failed_task(f"{TYPE}_a1b2c3d4")
        t8.state_manager.start_run("LIST_COLLECTION", total_items=200)
        t8.create_resume_point("LIST_COLLECTION", 7, 140)
        assert findings(t8) == ""
    return texts


@situation("Debug logs")
def more_logs(here: Path) -> str:
    code = "from scrapy_t8 import T8ResumeAndRetry\nwith T8ResumeAndRetry() as t8: t8.get_resume_point('X')"
    calm = run("-c", code)
    assert "DEBUG" not in calm.stderr
    loud = {**os.environ, "T8_LOG_LEVEL": "DEBUG"}
    return run("-c", code, env=loud).stderr
