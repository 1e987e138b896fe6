"""The stored form of a request that was admitted before: the admitted values, and later changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scrapy import Request

from .subclasses import STATE, own_attributes


def fields_of_attempt(request: Request, admitted: dict[str, Any], is_storable: Callable[[Any], bool]) -> dict[str, Any]:
    """Return the fields to store of *request*, which was admitted as the fields *admitted*.

    A value without a stored form was put in by a middleware later: there *admitted* counts.
    """
    fields = dict(admitted)
    for name in Request.attributes:
        if name not in ("callback", "errback"):
            _take_over(fields, name, getattr(request, name), is_storable)
    if STATE in admitted:
        _take_over(fields, STATE, own_attributes(request), is_storable)
    return fields


def _take_over(fields: dict[str, Any], name: str, value: Any, is_storable: Callable[[Any], bool]) -> None:
    """Let *value* take the place of a field, as far as *value* has a stored form."""
    if isinstance(value, dict) and not is_storable(value):
        kept = fields.get(name) or {}
        storable = {key: part for key, part in value.items() if is_storable({key: part})}
        fields[name] = {key: storable.get(key, kept.get(key)) for key in value if key in storable or key in kept}
    elif is_storable(value):
        fields[name] = value
