"""The envelope of a stored form, and what can be read from it without making objects."""

from __future__ import annotations

import struct
from typing import Any

import msgpack

from scrapy_t8.errors import CannotLoad

MSGPACK, PICKLE = 1, 2
HEADER = struct.Struct(">BI")
HALVES: dict[str, Any] = {"unicode_errors": "surrogatepass"}
"""Half of a character, as from a broken page, is kept as it is."""


def raw_fields(payload: bytes) -> dict[str, Any]:
    """Return the fields of a stored request as they are stored; none if it is unreadable."""
    if payload[:1] != bytes([MSGPACK]):
        return {}
    body = payload[HEADER.size :]
    try:
        # Objects are left out: their classes may not exist.
        fields = msgpack.unpackb(body, ext_hook=_nothing, strict_map_key=False, **HALVES)
    except Exception:
        return {}
    return fields if isinstance(fields, dict) else {}


def url_and_meta(payload: bytes) -> tuple[str, dict[str, Any]]:
    """Return URL and meta of a stored request; empty if they are unreadable."""
    fields = raw_fields(payload)
    try:
        return str(fields.get("url", "")), dict(fields.get("meta") or {})
    except (TypeError, ValueError):
        return "", {}


def repeated_fields(payload: bytes) -> dict[str, Any]:
    """Return the fields of a stored request changed so that neither the duplicate filter nor a cache stops it.

    :raises CannotLoad: if *payload* is damaged, or a pickle.
    """
    if payload[:1] != bytes([MSGPACK]):
        raise CannotLoad("only what is stored without pickle can be changed")
    try:
        fields: dict[str, Any] = msgpack.unpackb(payload[HEADER.size :], strict_map_key=False, **HALVES)
        fields["dont_filter"] = True
        fields["meta"] = {**(fields.get("meta") or {}), "dont_cache": True, "t8_bypass_cache": True}
    except (ValueError, TypeError, AttributeError) as error:
        raise CannotLoad(f"the stored bytes cannot be read: {error}") from None
    return fields


def _nothing(code: int, data: bytes) -> None:
    """Decode nothing: the value becomes None."""
