"""The loggers of this package. None of their records shows a secret."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress

from .mask import NAMES, Mask


class SecretFilter(logging.Filter):
    """Hides the secrets in a record, and in the traceback of a record. A record without secrets stays as it is.

    A crawl may hide other names than the default ones. The log is that of the process: the log hides the names of all
    crawls of the process.
    """

    def __init__(self) -> None:
        super().__init__()
        self._names: frozenset[str] | None = None
        self._made: Mask | None = None

    def hide(self, names: Iterable[str]) -> None:
        """Hide the values of *names* from now on."""
        before = self._names
        self._names = frozenset(names) | (before or frozenset())
        if self._names != before:
            self._made = None

    @property
    def _mask(self) -> Mask:
        if self._made is None:
            self._made = Mask(NAMES if self._names is None else self._names)
        return self._made

    def filter(self, record: logging.LogRecord) -> bool:
        """Hide the secrets of *record*. Return whether the record is logged: always."""
        # What cannot be formatted is the business of the handler, which says so.
        with suppress(Exception):
            text = record.getMessage()
            shown = self._mask.text(text)
            if shown != text:
                record.msg, record.args = shown, ()
            if record.exc_info and record.exc_info[0] is not None:
                # Formatters take this text, and do not format the traceback themselves.
                record.exc_text = self._mask.text(logging.Formatter().formatException(record.exc_info))
        return True


secrets = SecretFilter()


def get_logger(name: str) -> logging.Logger:
    """Return the logger *name*, whose records show no secret."""
    logger = logging.getLogger(name)
    logger.addFilter(secrets)
    return logger
