"""Lists the effective configuration with the origin of each value."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from .settings import Config, Effective

SECRET = ("notify_urls",)
"""Fields whose values contain passwords."""
WIDEST = 60
"""Maximum width of a column of the table."""


def rows(effective: Effective) -> list[dict[str, Any]]:
    """Return key, setting, value and origin of each setting, sorted by key."""
    return [
        {
            "key": field.name,
            "setting": f"T8_{field.name.upper()}",
            "value": _shown(field.name, getattr(effective.config, field.name)),
            "origin": effective.origins[field.name],
        }
        for field in sorted(fields(Config), key=lambda field: field.name)
    ]


def lines(effective: Effective) -> Iterator[str]:
    """Yield the lines of a table of all settings with value and origin."""
    table = [(row["setting"], _text(row["value"]), row["origin"]) for row in rows(effective)]
    widths = [min(WIDEST, max(len(row[column]) for row in table)) for column in (0, 1)]
    for name, value, origin in table:
        yield f"{name:<{widths[0]}}  {value:<{widths[1]}}  {origin}"


def _shown(name: str, value: Any) -> Any:
    return "***" if name in SECRET and value else value


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=repr)
