"""The log of the service."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable
from logging.handlers import WatchedFileHandler

from scrapy_t8.errors import ConfigError
from scrapy_t8.utils.log.loggers import get_logger, secrets

NAME = "T8ResumeAndRetry"
FORMAT = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"
TIME = "%Y-%m-%d %H:%M:%S"

logger = get_logger(NAME)


class Fallback(logging.StreamHandler):  # type: ignore[type-arg]  # which Python 3.10 cannot subscribe
    """Writes to standard error as long as the program has not set up logging itself, before or later."""

    def emit(self, record: logging.LogRecord) -> None:
        if not logging.root.handlers:
            self.stream = sys.stderr
            super().emit(record)


def set_up(level: str, hidden: Iterable[str], file: str = "") -> None:
    """Log records of *level* and above, without the values of names with a part of *hidden*; also to *file*, if given.

    :raises ConfigError: if the file cannot be written.
    """
    secrets.hide(hidden)
    logger.setLevel(level)
    if not logger.handlers:
        handler = Fallback()
        handler.setFormatter(logging.Formatter(FORMAT, TIME))
        logger.addHandler(handler)
    path = os.path.abspath(file) if file else ""
    if path and path not in [getattr(handler, "baseFilename", "") for handler in logger.handlers]:
        try:
            to_file = WatchedFileHandler(path, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"T8_LOG_FILE is {file!r}, which cannot be written: {error.strerror}") from None
        to_file.setFormatter(logging.Formatter(FORMAT, TIME))
        logger.addHandler(to_file)
