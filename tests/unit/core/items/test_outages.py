"""Which errors of item pipelines are outages."""

from __future__ import annotations

import asyncio
import errno
import socket
import sqlite3

import pytest
from scrapy.exceptions import DropItem

from scrapy_t8.core.items.outages import OutageErrors


def named(path: str, *args: object, base: type = Exception) -> Exception:
    """Return an error of a class with this path."""
    module, _, name = path.rpartition(".")
    error: Exception = type(name, (base,), {"__module__": module})(*args)
    return error


def wrapped(original: Exception) -> Exception:
    """Return the error of SQLAlchemy for *original*."""
    error = named("sqlalchemy.exc.OperationalError", str(original))
    error.orig = original  # type: ignore[attr-defined]
    return error


OUTAGES = [
    ConnectionRefusedError(),
    BrokenPipeError(),
    TimeoutError(),
    asyncio.TimeoutError(),
    socket.gaierror(-2, "unknown name"),
    OSError(errno.EHOSTUNREACH, "no route"),
    named("psycopg.OperationalError", "connection failed"),
    named("psycopg.errors.AdminShutdown", base=type(named("psycopg.OperationalError"))),
    named("pymysql.err.OperationalError", 2006, "gone away"),
    named("pymysql.err.OperationalError", 1040, "too many connections"),
    named("redis.exceptions.ConnectionError"),
    wrapped(named("psycopg2.OperationalError", "closed")),
    wrapped(sqlite3.OperationalError("database is locked")),
    sqlite3.OperationalError("database is locked"),
    named("shop.db.Away"),
]
NOT_OUTAGES = [
    ValueError("x"),
    KeyError("price"),
    OSError(errno.ENOSPC, "disk full"),
    FileNotFoundError(),
    PermissionError(),
    DropItem("unwanted"),
    sqlite3.OperationalError("no such table: cars"),
    wrapped(sqlite3.OperationalError("no such table: cars")),
    named("pymysql.err.OperationalError", 1054, "unknown column"),
    named("psycopg.errors.UndefinedTable"),
    named("shop.db.Refused"),
]


@pytest.mark.parametrize("error", OUTAGES, ids=repr)
def test_outages(error: Exception) -> None:
    assert error in OutageErrors(["shop.db.Away"])


@pytest.mark.parametrize("error", NOT_OUTAGES, ids=repr)
def test_errors_that_come_again(error: Exception) -> None:
    assert error not in OutageErrors(["shop.db.Away"])
