"""The advice about an error depends on its code, never on a path in its message."""

from __future__ import annotations

import errno
import os
import sqlite3

import pytest

from scrapy_t8.errors import ACCESS, AGAIN, DISK, FILES, PATH, SPACE, remedy

PATHS = ("/workspace/job/t8/state.db", "/data/fullscan/permission/no such file", "job/t8/marks")
BY_NAME = {
    "ENOSPC": SPACE,
    "EDQUOT": SPACE,
    "EFBIG": SPACE,
    "EIO": DISK,
    "EMFILE": FILES,
    "ENOENT": PATH,
    "ENOTDIR": PATH,
    "EEXIST": PATH,
    "EACCES": ACCESS,
    "EROFS": ACCESS,
    "ESTALE": AGAIN,
}
BY_MESSAGE = {
    "database or disk is full": SPACE,
    "attempt to write a readonly database": ACCESS,
    "unable to open database file": ACCESS,
    "database is locked": AGAIN,
    "no such table: fullscan": AGAIN,
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("name", "advice"), BY_NAME.items())
def test_errors_of_the_system(name: str, advice: str, path: str) -> None:
    number = getattr(errno, name)
    assert remedy(OSError(number, os.strerror(number), path)) == advice


def test_an_error_without_a_number() -> None:
    assert remedy(OSError("/workspace/state.db was replaced while the crawl ran")) == AGAIN


@pytest.mark.parametrize(("message", "advice"), BY_MESSAGE.items())
def test_errors_of_sqlite_without_a_code(message: str, advice: str) -> None:
    assert remedy(sqlite3.OperationalError(message)) == advice


@pytest.mark.parametrize(
    ("code", "advice"), [(13, SPACE), (778, SPACE), (10, DISK), (266, DISK), (8, ACCESS), (1032, ACCESS), (5, AGAIN)]
)
def test_errors_of_sqlite_with_a_code(code: int, advice: str) -> None:
    error = sqlite3.OperationalError("something about /workspace/full")
    error.sqlite_errorcode = code  # type: ignore[attr-defined]
    assert remedy(error) == advice


def test_a_real_error_of_sqlite() -> None:
    db = sqlite3.connect(":memory:")
    db.executescript("PRAGMA max_page_count = 1; PRAGMA page_size = 512;")
    with pytest.raises(sqlite3.OperationalError) as caught:
        db.executescript("CREATE TABLE fullscan (a); CREATE TABLE b (a);")
    assert remedy(caught.value) == SPACE
