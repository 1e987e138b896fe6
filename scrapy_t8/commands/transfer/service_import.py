"""Takes JSON state into the state of a service, for those who must not know the service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scrapy_t8.config.settings import from_dict
from scrapy_t8.service import StateManager

FOR_EVER = 1e12
"""Seconds after which nothing is pruned: what a state may hold is for its own service to say."""
ANY_NUMBER = 1 << 60


def take_in(directory: Path, document: Any) -> dict[str, int]:
    """Take *document* into the service state in *directory*, all or nothing; it is made if there is none.

    :returns: how many ``resume_points``, ``failed_tasks`` and ``states`` were taken in.
    :raises T8Error: naming what is not as it must be; if the state cannot be had.
    """
    config = from_dict(
        {
            "state_dir": str(directory),
            "failed_task_ttl": FOR_EVER,
            "resume_point_ttl": FOR_EVER,
            "max_failed_tasks": ANY_NUMBER,
            "max_resume_points": ANY_NUMBER,
        }
    )
    manager = StateManager(config)
    try:
        return manager.import_state(document)
    finally:
        manager.close()
