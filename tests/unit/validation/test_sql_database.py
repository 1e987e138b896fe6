"""The user's database over SQLAlchemy: on SQLite, and on a PostgreSQL of its own."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from scrapy_t8 import ResumeValidator, SQLDatabase, T8ResumeAndRetry
from scrapy_t8.errors import ConfigError, DatabaseError, T8Error
from scrapy_t8.model.resume_point import CollectionState
from tests.support.postgres import PASSWORD, NoPostgres, Postgres, running
from tests.support.process import HANG, run

TYPE = "DETAIL_COLLECTION"
STRANGE = 'cars"; DROP TABLE cars; --'
MAKE = [
    "CREATE TABLE cars (id INTEGER, slug TEXT)",
    "CREATE TABLE {} ({} TEXT)",
    "INSERT INTO cars VALUES (1, 'car-1'), (2, 'car-2'), (3, '汽车'), (4, 'car-2'), (5, NULL), (6, '')",
]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    try:
        with running() as server:
            yield server
    except NoPostgres as reason:
        pytest.skip(str(reason))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with two tables."""
    found = f"sqlite:///{tmp_path / 'shop.db'}"
    if request.param == "postgresql":
        found = request.getfixturevalue("postgres").url
    engine = create_engine(found.replace("postgresql:", "postgresql+psycopg:"))
    quote = engine.dialect.identifier_preparer.quote
    with engine.begin() as connection:
        if request.param == "postgresql":
            connection.execute(text("DROP SCHEMA IF EXISTS shop CASCADE"))
            connection.execute(text("DROP SCHEMA public CASCADE; CREATE SCHEMA public"))
        for statement in MAKE:
            connection.execute(text(statement.format(quote(STRANGE), quote('the "key"'))))
    engine.dispose()
    return found


def test_it_counts_finds_and_reads(url: str) -> None:
    database = SQLDatabase(url, {TYPE: ("cars", "slug"), "NUMBERS": ("cars", "id"), "STRANGE": (STRANGE, 'the "key"')})
    assert database.count_items(TYPE) == 6
    assert sorted(database.iter_keys(TYPE)) == ["", "", "car-1", "car-2", "car-2", "汽车"]
    assert [database.has_item(TYPE, key) for key in ("汽车", "car-9", "' OR 1 = 1 --")] == [True, False, False]
    assert list(database.iter_keys("NUMBERS")) == ["1", "2", "3", "4", "5", "6"]
    assert [database.has_item("NUMBERS", key) for key in ("6", "7", "six", "9" * 40)] == [True, False, False, False]
    assert (database.count_items("STRANGE"), list(database.iter_keys("STRANGE"))) == (0, [])
    assert database.count_items(TYPE) == 6
    database.close()


def test_what_is_not_there_is_named(url: str) -> None:
    database = SQLDatabase(url, {TYPE: ("trucks", "slug"), "NAMES": ("cars", "name"), "STRANGE": (STRANGE, "x")})
    for task_type, message in {
        TYPE: f"there is no table 'trucks', which is named for {TYPE}",
        "NAMES": "the table 'cars' of NAMES has no column 'name'; it has id, slug",
        "STRANGE": f"the table {STRANGE!r} of STRANGE has no column 'x'; it has the \"key\"",
        "OTHER": f"no table is named for OTHER; there are those of {TYPE}, NAMES, STRANGE",
    }.items():
        with pytest.raises(DatabaseError) as caught:
            database.count_items(task_type)
        assert str(caught.value).endswith(f": {message}")
    with create_engine(url.replace("postgresql:", "postgresql+psycopg:")).begin() as connection:
        connection.execute(text("CREATE TABLE trucks (slug TEXT)"))
    assert database.count_items(TYPE) == 0


def test_validation_finds_what_is_wrong_with_the_items(url: str, tmp_path: Path) -> None:
    class Validator(ResumeValidator):
        def expected_keys(self, task_type: str) -> list[str]:
            return ["car-1", "car-2", "car-3", "car-4"]

    database = SQLDatabase(url, {TYPE: ("cars", "slug")})
    with T8ResumeAndRetry({"state_dir": str(tmp_path / "state")}, db_manager=database) as t8:
        t8.state_manager.start_run(TYPE, total_items=4)
        t8.state_manager.finish_run(TYPE)
        t8.validator = Validator(t8.state_manager, t8.db_manager)
        result = t8.validate_sync()
        assert json.loads(json.dumps(result)) == result
        assert result["items"][TYPE] == {
            "expected": 4,
            "there": 6,
            "unique": 2,
            "invalid": 2,
            "duplicates": 1,
            "duplicate_keys": {"car-2": 2},
            "missing": 2,
            "missing_keys": ["car-3", "car-4"],
            "unexpected": 1,
        }
        assert (result["valid"], result["integrity_score"]) == (False, 0.5)
        assert {problem["rule"]: problem["message"] for problem in result["database"]["problems"]} == {
            "too_many": "the database has 6 items, more than the 4 that there are",
            "duplicate": "1 key is there more than once: car-2 (2 times)",
            "invalid": "2 keys are empty or not valid",
            "missing": "2 items are missing: car-3, car-4",
        }
        assert t8.get_metrics()["data_integrity_score"] == 0.5
        assert [alert["name"] for alert in t8.check_alerts()] == ["data_integrity_score"]


def test_keys_are_read_in_little_memory(url: str) -> None:
    rows = 200_000
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM cars"))
        numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :rows) "
        connection.execute(
            text(f"INSERT INTO cars (id, slug) {numbers} SELECT i, 'a-rather-long-slug-' || i FROM n"), {"rows": rows}
        )
    engine.dispose()
    database = SQLDatabase(url, {TYPE: ("cars", "slug")})
    assert database.count_items(TYPE) == rows
    tracemalloc.start()
    try:
        assert sum(1 for _ in database.iter_keys(TYPE)) == rows
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # All of them would be 15 MB.
    assert peak < 4_000_000, peak


# -- databases that do not answer --------------------------------------------------------------------------------


def states() -> Any:
    class Known:
        def states(self) -> Iterator[CollectionState]:
            yield CollectionState.from_dict(
                {
                    "run_id": "run_20240115_001",
                    "task_type": TYPE,
                    "status": "STOPPED",
                    "start_time": "2024-01-15T10:00:00",
                    "last_update": "2024-01-15T10:30:00",
                    "total_items": 10,
                    "processed_items": 0,
                    "failed_items": 0,
                    "resume_points": [],
                    "failed_tasks": [],
                }
            )

    return Known()


def problem(database: SQLDatabase, timeout: float = HANG) -> str:
    """The one thing that validation finds."""
    result = ResumeValidator(states(), database, timeout=timeout).validate_sync()
    assert (result["valid"], result["integrity_score"]) == (False, 0.0)
    [found] = result["database"]["problems"]
    assert (found["rule"], found["task_type"]) == ("database", TYPE)
    return str(found["message"])


def test_a_file_that_is_missing_is_not_made(tmp_path: Path) -> None:
    database = SQLDatabase(f"sqlite:///{tmp_path / 'shop.db'}", {TYPE: ("cars", "slug")})
    assert problem(database).endswith(f": there is no file {tmp_path / 'shop.db'}")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_or_is_locked(tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    file.write_text("no database at all" * 100)
    assert "DatabaseError: file is not a database" in problem(SQLDatabase(f"sqlite:///{file}", {TYPE: ("cars", "x")}))
    file.unlink()
    writer = sqlite3.connect(file, isolation_level=None)
    writer.execute("CREATE TABLE cars (x)")
    writer.execute("BEGIN EXCLUSIVE")
    locked = SQLDatabase(f"sqlite:///{file}?timeout=0.1", {TYPE: ("cars", "x")})
    assert "OperationalError: database is locked" in problem(locked)
    writer.close()
    assert locked.count_items(TYPE) == 0


def silent_validator(silent: socket.socket, timeout: float) -> ResumeValidator:
    url = f"postgresql://t8:geh3im@127.0.0.1:{silent.getsockname()[1]}/shop"
    return ResumeValidator(states(), SQLDatabase(url, {TYPE: ("cars", "slug")}), timeout=timeout)


def test_a_server_that_hangs_does_not_hold_up_the_loop() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        validator = silent_validator(silent, 2 * HANG)

        async def look() -> dict[str, Any]:
            task = asyncio.ensure_future(validator.validate())
            # Only a loop that goes on can accept the connection, and end it.
            connection, _ = await asyncio.get_running_loop().sock_accept(silent)
            assert not task.done()
            connection.close()
            return await task

        [found] = asyncio.run(asyncio.wait_for(look(), HANG))["database"]["problems"]
        assert "OperationalError" in found["message"]


def test_a_server_that_hangs_is_given_up_and_not_asked_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(HANG)
        validator = silent_validator(silent, 0.3)
        problems = validator.validate_sync()["database"]["problems"]
        assert [found["message"] for found in problems] == ["the database gave no answer in 0.3 s"]
        connection, _ = silent.accept()
        assert validator.validate_sync()["database"]["problems"] == problems
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):
            silent.accept()
        connection.close()


@pytest.mark.slow
def test_a_postgresql_that_goes_and_comes_back(postgres: Postgres) -> None:
    engine = create_engine(postgres.url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA shop"))
        connection.execute(text("CREATE TABLE shop.dealers (u UUID)"))
        connection.execute(text("INSERT INTO shop.dealers VALUES (gen_random_uuid())"))
    engine.dispose()
    database = SQLDatabase(postgres.url, {TYPE: ("shop.dealers", "u")})
    [key] = database.iter_keys(TYPE)
    assert database.has_item(TYPE, key)
    assert not database.has_item(TYPE, "no UUID at all")
    postgres.stop()
    message = problem(database)
    assert message.startswith(
        f"the database postgresql+psycopg://t8:***@127.0.0.1:{postgres.port}/postgres: Operational"
    )
    assert "Connection refused" in message
    postgres.start()
    assert database.count_items(TYPE) == 1


@pytest.mark.slow
def test_a_password_is_never_shown(postgres: Postgres) -> None:
    wrong = "geh3im/wrong"
    for url in (
        postgres.url.replace("hunter2%2Fgeh3im", wrong.replace("/", "%2F")),
        f"postgresql://t8@127.0.0.1:{postgres.port}/postgres?password={wrong}",
        f"postgresql://t8:{wrong}@127.0.0.1:{postgres.port}/postgres?sslpassword=geh3im",
        "postgresql://t8:geh3im@geh3im-too@127.0.0.1:1/postgres",
        "postgresql://t8:geh3im@127.0.0.1:port/postgres",
        "geh3im",
    ):
        shown = ""
        try:
            database = SQLDatabase(url, {TYPE: ("cars", "slug")})
            shown = repr(database)
            shown += problem(database)
        except T8Error as error:
            shown += str(error)
        assert "geh3im" not in shown, (url, shown)
        assert "\n" not in shown
    assert PASSWORD not in repr(SQLDatabase(postgres.url, {}))


@pytest.mark.parametrize(
    ("url", "tables", "message"),
    [
        ("nodb://x", {}, "the URL of the database cannot be used: Can't load plugin"),
        ("no url", {}, "the URL of the database cannot be used: Could not parse SQLAlchemy URL"),
        ("oracle+oracledb://u:geh3im@h/x", {}, "oracle+oracledb://u:***@h/x needs the driver oracledb: pip install"),
        ("mysql://u:geh3im@h/x", {}, "mysql+pymysql://u:***@h/x needs the driver pymysql: pip install pymysql"),
        ("sqlite+aiosqlite:///x", {}, "the driver of sqlite+aiosqlite:///x is async"),
        ("sqlite:///x", {TYPE: "cars"}, f"tables['{TYPE}'] is 'cars', but must be the names of a table and"),
        ("sqlite:///x", {TYPE: ("cars", "")}, "but must be the names of a table and of its key column"),
    ],
)
def test_invalid_urls_and_tables_are_refused(url: str, tables: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SQLDatabase(url, tables)
    assert message in str(caught.value)
    assert "geh3im" not in str(caught.value)


def test_without_sqlalchemy() -> None:
    """The pack is imported without it, and says what is to be installed."""
    code = """
import sys
sys.modules["sqlalchemy"] = None
import scrapy_t8
try:
    scrapy_t8.SQLDatabase("sqlite:///x", {})
except scrapy_t8.T8Error as error:
    print(error)
"""
    done = run("-c", code)
    assert done.stdout == 'SQLDatabase needs SQLAlchemy: pip install "scrapy-t8[sql]"\n', done.stderr


def test_the_package_does_not_import_sqlalchemy() -> None:
    code = "import sys, scrapy_t8; print('sqlalchemy' in sys.modules)"
    assert run("-c", code).stdout == "False\n"
