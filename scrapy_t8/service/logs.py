"""The log of the service."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable

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


def set_up(level: str, hidden: Iterable[str]) -> None:
    """Log records of *level* and above, without the values of names with a part of *hidden*."""
    secrets.hide(hidden)
    logger.setLevel(level)
    if not logger.handlers:
        handler = Fallback()
        handler.setFormatter(logging.Formatter(FORMAT, TIME))
        logger.addHandler(handler)
