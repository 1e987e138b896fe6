"""The envelope of a stored form, and what can be read from it without making objects."""

from __future__ import annotations

import struct
from typing import Any

import msgpack

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


def _nothing(code: int, data: bytes) -> None:
    """Decode nothing: the value becomes None."""
