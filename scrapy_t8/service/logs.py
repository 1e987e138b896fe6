"""The log of the service, in the form that is given."""

from __future__ import annotations

import logging

NAME = "T8ResumeAndRetry"
FORMAT = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"
TIME = "%Y-%m-%d %H:%M:%S"

logger = logging.getLogger(NAME)


def set_up(level: str) -> None:
    """Log from *level* on; to standard error, unless the program has set up logging itself."""
    logger.setLevel(level)
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(FORMAT, TIME))
        logger.addHandler(handler)
