"""A database that SQLAlchemy supports, as the ``db_manager`` of validation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from scrapy_t8.errors import ConfigError, DatabaseError
from scrapy_t8.utils.text import install, one_line

if TYPE_CHECKING:
    from sqlalchemy import URL, Column, Connection, Engine

INSTALL = install("sql")
DRIVERS = {"postgresql": ("psycopg2", "psycopg"), "mysql": ("MySQLdb", "pymysql")}
"""The drivers for a URL without one: the first that is installed, else the last."""
PACKAGES = {"psycopg": '"psycopg[binary]"', "MySQLdb": "mysqlclient"}
CAN_LIMIT = ("psycopg", "psycopg2", "mysqldb", "pymysql")
"""Drivers that support ``connect_timeout``."""
AT_ONCE = 1000
"""Rows that one fetch returns."""
CONNECTING = 10
"""Seconds that connecting may take."""
SECRET = re.compile("pass|secret|token|key", re.IGNORECASE)
HIDDEN = "***"


class SQLDatabase:
    """Reads tables: one for each task type, with a column that holds the key of each item. It never writes.

    ``SQLDatabase("postgresql://user:password@host/shop", {"DETAIL_COLLECTION": ("cars", "slug")})``

    Tables and columns are looked up before they are queried, and quoted by SQLAlchemy. Keys are read in chunks of a
    thousand. The first query connects to the database. Messages show no password.

    :param url: a URL of SQLAlchemy: SQLite, PostgreSQL, MySQL and others. ``postgresql://`` and ``mysql://`` use the
        driver that is installed (psycopg2 or psycopg, MySQLdb or pymysql).
    :param tables: by task type, the names of a table (``schema.table`` if it is in another schema) and its key column.
    :raises ConfigError: if SQLAlchemy or the driver is missing, or *url* or *tables* is invalid.
    """

    def __init__(self, url: str, tables: Mapping[str, tuple[str, str]]) -> None:
        self._secrets = _secrets(str(url))
        self._tables = {str(task_type): _pair(task_type, names) for task_type, names in tables.items()}
        self._engine = self._create(str(url))
        self._columns: dict[str, Column[Any]] = {}
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name})"

    def count_items(self, task_type: str) -> int:
        """Return the number of rows in the table of *task_type*.

        :raises DatabaseError: if the database fails, as from every query.
        """
        from sqlalchemy import func, select

        with self._connected(task_type) as (connection, column):
            return int(connection.scalar(select(func.count()).select_from(column.table)) or 0)

    def has_item(self, task_type: str, key: str) -> bool:
        """Whether there is a row with this *key*."""
        from sqlalchemy import String, cast, literal, select

        with self._connected(task_type) as (connection, column):
            kind = _kind(column)
            if kind is int and not re.fullmatch(r"-?\d{1,18}", key):
                return False
            # Other types (UUID, dates) are compared as the text that iter_keys returns: slow, but correct.
            same = column == kind(key) if kind in (str, int) else cast(column, String) == key
            return connection.scalar(select(literal(1)).where(same).limit(1)) is not None

    def iter_keys(self, task_type: str) -> Iterator[str]:
        """Yield the keys of all rows as text; an empty one for NULL."""
        from sqlalchemy import select

        with self._connected(task_type) as (connection, column):
            streaming = connection.execution_options(stream_results=True, yield_per=AT_ONCE)
            for key in streaming.scalars(select(column)):
                yield "" if key is None else str(key)

    def close(self) -> None:
        """Close all connections. The next query opens a new one."""
        self._engine.dispose()

    # -- tables --------------------------------------------------------------------------------------------------

    def _column(self, task_type: str, connection: Connection) -> Column[Any]:
        """Return the key column of *task_type*, which is looked up only once."""
        with self._lock:
            if task_type not in self._columns:
                self._columns[task_type] = self._reflected(task_type, connection)
            return self._columns[task_type]

    def _reflected(self, task_type: str, connection: Connection) -> Column[Any]:
        from sqlalchemy import MetaData, Table
        from sqlalchemy.exc import NoSuchTableError

        if task_type not in self._tables:
            raise self._failed(f"no table is named for {task_type}; there are those of {', '.join(self._tables)}")
        name, key = self._tables[task_type]
        for schema, table in _places(name):
            try:
                found = Table(table, MetaData(), schema=schema, autoload_with=connection, resolve_fks=False)
            except NoSuchTableError:
                continue
            if key not in found.columns:
                there = ", ".join(found.columns.keys())
                raise self._failed(f"the table {name!r} of {task_type} has no column {key!r}; it has {there}")
            return found.columns[key]
        raise self._failed(f"there is no table {name!r}, which is named for {task_type}")

    def _create(self, given: str) -> Engine:
        try:
            from sqlalchemy import create_engine, make_url
            from sqlalchemy.exc import ArgumentError, NoSuchModuleError
        except ImportError:
            raise ConfigError(f"SQLDatabase needs SQLAlchemy: {INSTALL}") from None
        try:
            url = _with_driver(make_url(given))
            self._name = self._hide(url.set(query={}).render_as_string(hide_password=True))
            self._file = _file(url)
            if url.get_dialect().is_async:
                raise ConfigError(f"the driver of {self._name} is async: name a plain driver, or none")
            limits = {"connect_timeout": CONNECTING} if url.get_driver_name() in CAN_LIMIT else {}
            return create_engine(url, pool_pre_ping=True, connect_args=limits)
        except ModuleNotFoundError as error:
            package = PACKAGES.get(str(error.name), error.name)
            raise ConfigError(f"{self._name} needs the driver {error.name}: pip install {package}") from None
        except (ArgumentError, NoSuchModuleError, ValueError) as error:
            # An invalid URL may have a password anywhere, and some releases of SQLAlchemy show all of it.
            message = self._hide(one_line(str(error).replace(given, HIDDEN)))
            raise ConfigError(f"the URL of the database cannot be used: {message}") from None

    @contextmanager
    def _connected(self, task_type: str) -> Iterator[tuple[Connection, Column[Any]]]:
        from sqlalchemy.exc import DBAPIError, SQLAlchemyError

        if self._file is not None and not self._file.exists():
            raise self._failed(f"there is no file {self._file}")  # which SQLite would make
        try:
            with self._engine.connect() as connection:
                yield connection, self._column(task_type, connection)
        except DBAPIError as error:
            # Without the statement and its parameters.
            cause = error.orig if error.orig is not None else error
            raise self._failed(one_line(f"{type(cause).__name__}: {cause}")) from None
        except SQLAlchemyError as error:
            raise self._failed(one_line(f"{type(error).__name__}: {error}")) from None

    def _failed(self, message: str) -> DatabaseError:
        return DatabaseError(f"the database {self._name}: {self._hide(message)}")

    def _hide(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text


def _pair(task_type: object, names: object) -> tuple[str, str]:
    match names:
        case [str(table), str(key)] if table and key and "\0" not in table + key:
            return table, key
    message = f"tables[{task_type!r}] is {names!r:.100}, but must be the names of a table and of its key column"
    raise ConfigError(message)


def _places(name: str) -> Iterator[tuple[str | None, str]]:
    """Schema and table that *name* may mean: a table may have a dot in its name."""
    yield None, name
    schema, dot, table = name.rpartition(".")
    if dot and schema and table:
        yield schema, table


def _kind(column: Column[Any]) -> type:
    try:
        kind = column.type.python_type
    except NotImplementedError:
        return object
    return kind if kind in (str, int) else object


def _with_driver(url: URL) -> URL:
    if url.drivername == "postgres":
        url = url.set(drivername="postgresql")
    modules = DRIVERS.get(url.drivername)
    if modules is None:
        return url
    module = next(filter(find_spec, modules), modules[-1])
    return url.set(drivername=f"{url.drivername}+{module.lower()}")


def _file(url: URL) -> Path | None:
    if url.get_backend_name() != "sqlite" or not url.database or url.database.startswith((":memory:", "file:")):
        return None
    return Path(url.database)


def _secrets(url: str) -> list[str]:
    """Return the parts of *url* to hide: the password, also if it is not quoted, and parameters named like one."""
    rest, _, query = url.partition("?")
    before, at, _ = rest.partition("://")[2].rpartition("@")
    password = before.partition(":")[2] if at else ""
    found = {password, unquote(password)}
    found |= set(re.split("[@:/]", password)) if "@" in password else set()
    for name, _, value in (pair.partition("=") for pair in query.split("&")):
        found |= {value, unquote(value)} if SECRET.search(name) else set()
    # Very short parts are not hidden: they occur in many words.
    return sorted((part for part in found if len(part) > 2), key=len, reverse=True)
