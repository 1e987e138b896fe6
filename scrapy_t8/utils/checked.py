"""Checks of arguments that users pass. Each check returns the checked value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scrapy_t8.errors import FormatError


def checked_text(name: str, value: object, *, empty: bool = False) -> str:
    """Return *value* if it is text that can be stored, else raise a FormatError with *name*."""
    if not isinstance(value, str):
        raise FormatError(f"{name}: text is needed, not {type(value).__name__} {value!r:.60}", name)
    if not value and not empty:
        raise FormatError(f"{name}: it must not be empty", name)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise FormatError(f"{name}: {value!r:.60} has half of a character in it", name) from None
    return value


def checked_number(name: str, value: object) -> int:
    """Return *value* if it is a whole number of at least 0, else raise a FormatError with *name*."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise FormatError(f"{name}: a whole number of at least 0 is needed, not {value!r:.60}", name)
    return value


def checked_metadata(metadata: object) -> dict[str, Any]:
    """Return a copy of *metadata* if JSON allows it, else raise a FormatError; an empty dict for None."""
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        kind = type(metadata).__name__
        raise FormatError(f"metadata: a JSON object is needed, not {kind} {metadata!r:.60}", "metadata")
    try:
        return dict(_checked(metadata, "metadata"))
    except RecursionError:
        raise FormatError("metadata: it is nested too deeply, or contains itself", "metadata") from None


def _checked(value: Any, where: str) -> Any:
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        if value - value == 0:
            return value
    elif isinstance(value, (list, tuple)):
        return [_checked(part, f"{where}[{number}]") for number, part in enumerate(value)]
    elif isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise FormatError(f"{where}: the keys of a JSON object are text, not {key!r:.60}", "metadata")
        return {key: _checked(part, f"{where}[{key!r}]") for key, part in value.items()}
    raise FormatError(f"{where}: JSON has no {type(value).__name__} such as {value!r:.60}", "metadata")
