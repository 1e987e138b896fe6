"""Settings that may differ by the class of an item."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from scrapy_t8.errors import ConfigError

V = TypeVar("V")
ANY = "*"
"""In place of a class: every other class."""


def parse_json(value: Any, setting: str) -> Any:
    """Return *value*, decoded if it is a JSON object or list as text, as from a command line.

    :raises ConfigError: naming the *setting*, if the JSON is invalid.
    """
    if not isinstance(value, str) or value.strip()[:1] not in ("{", "["):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise ConfigError(f"{setting} is {value!r}, which is not JSON: {error}") from None


def by_class(value: Any, setting: str) -> dict[str, Any]:
    """Return the parts of a *setting* by the names of classes; a value for every class has the name ``*``."""
    value = parse_json(value, setting)
    if value is None or value == "":
        return {}
    return {str(name): part for name, part in value.items()} if isinstance(value, Mapping) else {ANY: value}


def part_for(cls: type, parts: Mapping[str, V]) -> V | None:
    """Return the part for *cls*: by its import path, by its bare name, or for every class; None if there is none."""
    for name in (f"{cls.__module__}.{cls.__qualname__}", cls.__name__, ANY):
        if name in parts:
            return parts[name]
    return None
