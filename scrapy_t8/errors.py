"""Every error of T8, as one tree.

::

    T8Error                  one line for a person: what happened, where, and what to do
    +-- ConfigError          a setting that cannot be used
    +-- JobError             this job cannot be opened as asked
    |   +-- JobLocked        another live process owns it
    |   +-- JobMismatch      the spider or its arguments differ from the job's
    +-- BeginFailed          the spider's own code could not begin a run
    +-- StoreError           the state cannot be read or written
    |   +-- StoreDamaged     the state file is not (or no longer) a database
    |   +-- StoreVersion     the state was written by another version
    |   +-- NoAnswer         the server does not answer: what it has done is not known
    +-- WriteError           a file cannot be written: a report, an export
    |   +-- FeedError        a feed file cannot be written
    +-- CannotStore          a value has no safe encoding
    +-- CannotLoad           stored bytes cannot be decoded
    +-- DatabaseError        the user's own database failed or gave no answer
    +-- FormatError          a field of a document is missing or invalid
    +-- CommandError         a command cannot be used with these arguments
    +-- ScrapyChanged        this release of Scrapy lacks something that T8 uses

Every class has a ``reason``: the close reason of a crawl that this error ends.
"""

from __future__ import annotations

import errno
from typing import ClassVar


class T8Error(Exception):
    """One line for a person: what happened, where, and what to do."""

    reason: ClassVar[str] = "t8_error"


class ConfigError(T8Error):
    reason = "t8_config"


class JobError(T8Error):
    reason = "t8_job"


class JobLocked(JobError):
    reason = "t8_locked"


class JobMismatch(JobError):
    reason = "t8_mismatch"


class BeginFailed(T8Error):
    reason = "t8_begin_failed"


class StoreError(T8Error):
    reason = "t8_store_failed"


class StoreDamaged(StoreError):
    reason = "t8_store_damaged"


class StoreVersion(StoreError):
    reason = "t8_store_version"


class NoAnswer(StoreError):
    reason = "t8_store_silent"


class WriteError(T8Error):
    reason = "t8_write_failed"


class FeedError(WriteError):
    reason = "t8_feed_failed"


class DatabaseError(T8Error):
    pass


class CannotStore(T8Error):
    """A value has no safe encoding. ``where`` names the value, as in ``meta['loader']``."""

    reason = "t8_unserializable"

    def __init__(self, message: str, where: str = "") -> None:
        super().__init__(message)
        self.where = where


class CannotLoad(T8Error):
    """Stored bytes cannot be decoded. ``kind`` is the cause, for the dead-letter box."""

    def __init__(self, message: str, kind: str = "payload") -> None:
        super().__init__(message)
        self.kind = kind


class FormatError(T8Error):
    """A document has another format than it should have. ``field`` is the name of the field that is wrong."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class CommandError(T8Error):
    pass


class ScrapyChanged(T8Error):
    reason = "t8_scrapy_changed"


SPACE = "Make space, then run the same command again: nothing is lost"
DISK = "Check the disk, then run the same command again: nothing is lost"
FILES = "Allow more open files (ulimit -n), then run the same command again: nothing is lost"
PATH = "Use another JOBDIR or feed path, or make room for this one"
ACCESS = "Make the directory writable for this user, or use another JOBDIR"
AGAIN = "The last commit is safe: run the same command again"

BY_ERRNO = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), SPACE),
    errno.EIO: DISK,
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), FILES),
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG), PATH),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), ACCESS),
}
BY_SQLITE_CODE = {3: ACCESS, 8: ACCESS, 10: DISK, 13: SPACE, 14: ACCESS, 778: SPACE}
"""By primary result code, or by an extended one: 778, a failed write, is how SQLite reports a file size limit."""
BY_SQLITE_MESSAGE = {
    "access permission denied": ACCESS,
    "attempt to write a readonly database": ACCESS,
    "disk I/O error": SPACE,
    "database or disk is full": SPACE,
    "unable to open database file": ACCESS,
}
"""For Python 3.10, whose errors of SQLite have no code. These are whole messages: none of them has a path in it."""


def remedy(error: Exception) -> str:
    """Return what a person can do about an error of the operating system or of SQLite."""
    if isinstance(error, OSError):
        return BY_ERRNO.get(error.errno or 0, AGAIN)
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return BY_SQLITE_MESSAGE.get(str(error), AGAIN)
    return BY_SQLITE_CODE.get(code) or BY_SQLITE_CODE.get(code & 0xFF, AGAIN)


def __getattr__(name: str) -> type[T8Error]:
    if name == "DatabaseFailed":  # its name in release 0.1
        return DatabaseError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
