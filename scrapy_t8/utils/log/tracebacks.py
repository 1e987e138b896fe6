"""Tracebacks: those that the log need not show, and whose code an exception comes from."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from scrapy_t8.errors import T8Error

OURS = __name__.partition(".")[0]
CALLED = frozenset(
    (OURS, *sys.stdlib_module_names, "itemadapter", "msgpack", "queuelib", "scrapy", "twisted", "w3lib", "zope")
)
"""What this package calls itself. An exception that comes from any other code is not to be reported as its bug."""


@contextmanager
def in_one_line(logger: logging.Logger) -> Iterator[None]:
    """Log an error of T8 that the block raises as one line, and keep its traceback out of the log."""
    try:
        yield
    except T8Error as error:
        logger.critical("%s", error)
        mute_tracebacks_of(error)
        raise


def mute_tracebacks_of(error: Exception) -> None:
    """Keep the traceback of *error*, which is in the log as one clear line already, out of the log, once.

    ``asyncio`` or ``twisted`` log an error that ends a crawl before it began, as an unhandled error.
    """
    loggers = logging.getLogger("asyncio"), logging.getLogger("twisted")
    # No reference to the error, strong or weak: it is logged when it is garbage.
    kind, text = type(error), str(error)

    def is_shown(record: logging.LogRecord) -> bool:
        if not record.exc_info:
            # Twisted gives the traceback as text, and then as the error itself.
            return f"{kind.__module__}.{kind.__qualname__}: {text}" not in record.getMessage()
        if type(record.exc_info[1]) is not kind or str(record.exc_info[1]) != text:
            return True
        for muted in loggers:
            muted.removeFilter(is_shown)
        return False

    for muted in loggers:
        muted.addFilter(is_shown)


def culprit_of(error: BaseException) -> str:
    """Return the import path of the code outside of this package and Scrapy that *error* comes from; empty if none is.

    Of several functions, it is the first that was called: the one that the project has named.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    ours = [number for number, frame in enumerate(frames) if _package(frame) == OURS]
    called = frames[ours[0] :] if ours else frames
    return next((_path(frame) for frame in called if _package(frame) not in CALLED), "")


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__") or "?").partition(".")[0]


def _path(frame: FrameType) -> str:
    name, owner = frame.f_code.co_name, frame.f_locals.get("self", frame.f_locals.get("cls"))
    if owner is not None:
        name = f"{(owner if isinstance(owner, type) else type(owner)).__qualname__}.{name}"
    return f"{frame.f_globals.get('__name__') or '?'}.{name}"
