"""Tracebacks that the log need not show."""

from __future__ import annotations

import logging


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
