"""Which part of a value cannot be stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from itemadapter import ItemAdapter


def locate(value: Any, is_storable: Callable[[Any], bool], path: str = "", depth: int = 8) -> str:
    """Return the path of the part of *value* that cannot be stored, as ``meta['loader']``, to *depth* levels."""
    parts: Any = ()
    if not depth:
        return path
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, (list, tuple)):
        parts = enumerate(value)
    elif ItemAdapter.is_item(value):
        parts = ItemAdapter(value).items()
    for key, part in parts:
        if not is_storable(part):
            return locate(part, is_storable, f"{path}[{key!r}]" if path else str(key), depth - 1)
    return path
