"""Times: as people read them, and as they are stored."""

from __future__ import annotations

import time


def local_time(when: float | None) -> str:
    """Unix seconds as a person here reads them."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when))
