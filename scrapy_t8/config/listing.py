"""Lists the effective configuration with the origin of each value."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .parsing import setting_name
from .settings import Effective

SECRET = ("notify_urls",)  # Fields whose values contain passwords
WIDEST = 60  # Maximum width of a column of the table


def rows(effective: Effective) -> list[dict[str, Any]]:
    """Return key, setting, value and origin of each setting, sorted by key."""
    found = []
    for key in sorted(effective.origins):
        value = getattr(effective.config, key)
        shown = "***" if key in SECRET and value else value
        found.append({"key": key, "setting": setting_name(key), "value": shown, "origin": effective.origins[key]})
    return found


def lines(effective: Effective) -> Iterator[str]:
    """Yield the lines of a table of all settings with value and origin."""
    table = [
        (row["setting"], json.dumps(row["value"], ensure_ascii=False, default=repr), row["origin"])
        for row in rows(effective)
    ]
    widths = [min(WIDEST, max(len(row[column]) for row in table)) for column in (0, 1)]
    for name, value, origin in table:
        yield f"{name:<{widths[0]}}  {value:<{widths[1]}}  {origin}"
