"""Tracebacks that the log need not show."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from scrapy_t8.errors import T8Error


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
