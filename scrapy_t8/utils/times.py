"""Times: as people read them, and as they are stored."""

from __future__ import annotations

import time
from datetime import datetime, timezone


def local_time(when: float | None) -> str:
    """Return Unix seconds as a date and time of this machine's time zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when))


def moment(seconds: float) -> datetime:
    """Return Unix seconds as a time in UTC."""
    return datetime.fromtimestamp(seconds, timezone.utc)


def isoformat(when: datetime) -> str:
    """Return *when* in ISO 8601 with its UTC offset; a time without a time zone is UTC."""
    return _aware(when).isoformat()


def parse_time(text: str, *, local: bool = False) -> datetime:
    """Return the time of *text* in ISO 8601; a time without an offset is UTC, or that of this machine with *local*.

    :raises ValueError: if *text* is not such a time.
    """
    # Python 3.10 cannot parse the offset Z.
    when = datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith(("Z", "z")) else text)
    return when.astimezone() if local else _aware(when)


def _aware(when: datetime) -> datetime:
    return when if when.tzinfo else when.replace(tzinfo=timezone.utc)
