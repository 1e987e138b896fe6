"""What can go wrong, as one tree.

::

    T8Error                  anything T8 says to a person: one line, what, where, what to do
    +-- ConfigError          a setting that cannot be used
    +-- JobError             this job cannot be opened as asked
    |   +-- JobLocked        another live process owns it
    |   +-- JobMismatch      the spider or its arguments differ from the job's
    +-- StoreError           the state cannot be read or written
    |   +-- StoreDamaged     the state file is not (or no longer) a database
    |   +-- StoreVersion     the state was written by another version
    +-- WriteError           a file cannot be written: a report, an export
    |   +-- FeedError        a feed file cannot be written
    +-- CodecError
    |   +-- CannotStore      a value has no safe encoding
    |   +-- CannotLoad       stored bytes do not become a request or an item again
    +-- DatabaseError        the user's own database does not tell what it is asked
    +-- FormatError          a document lacks a field, or has something else in it
    +-- CommandError         a command cannot be used as it was
    +-- ScrapyChanged        this Scrapy lacks something that T8 stands on

Every class has a ``reason``: the close reason of a crawl that ends because of it.
"""

from __future__ import annotations

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


class StoreError(T8Error):
    reason = "t8_store_failed"


class StoreDamaged(StoreError):
    reason = "t8_store_damaged"


class StoreVersion(StoreError):
    reason = "t8_store_version"


class WriteError(T8Error):
    reason = "t8_write_failed"


class FeedError(WriteError):
    reason = "t8_feed_failed"


class CodecError(T8Error):
    pass


class DatabaseError(T8Error):
    pass


class CannotStore(CodecError):
    """A value that has no safe encoding. ``where`` names it, as in ``meta['loader']``."""

    reason = "t8_unserializable"

    def __init__(self, message: str, where: str = "") -> None:
        super().__init__(message)
        self.where = where


class CannotLoad(CodecError):
    """Stored bytes that do not become a request again. ``kind`` is the cause, for the dead-letter box."""

    def __init__(self, message: str, kind: str = "payload") -> None:
        super().__init__(message)
        self.kind = kind


class FormatError(T8Error):
    """A document that is not of the format it should be. ``field`` is the name of what is wrong in it."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class CommandError(T8Error):
    pass


class ScrapyChanged(T8Error):
    reason = "t8_scrapy_changed"


def remedy(error: Exception) -> str:
    """What a person can do about an error of the system."""
    text = str(error).lower()
    if "full" in text or "space" in text or "disk i/o" in text or "too large" in text:
        return "Make space, then run the same command again: nothing is lost"
    if "not a directory" in text or "file exists" in text or "no such file" in text:
        return "Use another JOBDIR or feed path, or make room for this one"
    if "permission" in text or "read-only" in text or "readonly" in text or "unable to open" in text:
        return "Make the directory writable for this user, or use another JOBDIR"
    return "The last commit is safe: run the same command again"


def __getattr__(name: str) -> type[T8Error]:
    if name == "DatabaseFailed":  # its name in release 0.1
        return DatabaseError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
