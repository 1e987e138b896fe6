"""What tells two requests for one page apart: callback, meta and cb_kwargs, whatever the order of sets and keys."""

from __future__ import annotations

from typing import Any

import msgpack

from .envelope import HALVES, HEADER, MSGPACK

_FIELDS = ("callback", "errback", "cb_kwargs", "attributes")
_SETS = (2, 3)
"""Codes of types whose order says nothing."""
_OF_THE_MOMENT = (4, 6, 11)
"""Codes of types that are usually different each time: moments, and UUIDs."""
_OF_AN_ATTEMPT = frozenset(("proxy", "retry_times", "download_latency", "download_slot", "download_timeout"))
"""Keys of meta that a page passes on with its own meta, and that may differ between two attempts of the page."""

LEFT_OUT = "t8_left_out"
"""Key in the meta of a request: names of cb_kwargs that may differ between two attempts of its page."""


def identity_of(payload: bytes) -> bytes:
    """Return bytes that are equal for two stored requests of one fingerprint that are the same request.

    Numbers with a fraction, moments and UUIDs are left out: a page that is fetched again yields others.
    """
    if payload[:1] != bytes([MSGPACK]):
        return b""
    try:
        fields = _unpack(payload[HEADER.size :])
        meta = {key: value for key, value in (fields.get("meta") or {}).items() if _is_kept(key)}
        for name in (fields.get("meta") or {}).get(LEFT_OUT, ()):
            # A request that copies the meta of another one may have no such argument.
            (fields.get("cb_kwargs") or {}).pop(name, None)
        return _canonical([[fields.get(name) for name in _FIELDS], meta])
    except (ValueError, TypeError, AttributeError, RecursionError, msgpack.UnpackException):
        return b""


def _is_kept(key: object) -> bool:
    return key not in _OF_AN_ATTEMPT and not (isinstance(key, str) and key.startswith("t8_"))


def _unpack(body: bytes) -> Any:
    return msgpack.unpackb(body, strict_map_key=False, **HALVES)


def _canonical(value: Any) -> bytes:
    if isinstance(value, dict):
        return _joined(b"d", sorted(_canonical(key) + _canonical(part) for key, part in value.items()))
    if isinstance(value, list):
        return _joined(b"l", map(_canonical, value))
    if isinstance(value, msgpack.ExtType):
        if value.code in _OF_THE_MOMENT:
            return b"m"
        inner = _unpack(value.data)
        if value.code in _SETS:
            return _joined(b"s", sorted(map(_canonical, inner)))
        return _joined(b"x%d" % value.code, [_canonical(inner)])
    return b"f" if isinstance(value, float) else _joined(b"v", [msgpack.packb(value, **HALVES)])


def _joined(kind: bytes, parts: Any) -> bytes:
    return b"".join((kind, *(b"%d:%b" % (len(part), part) for part in parts), b";"))
