"""What distinguishes the requests of one page: callback, meta and cb_kwargs, whatever the order of sets and keys."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from typing import Any
from zlib import crc32

import msgpack

from scrapy_t8.utils.hashes import hash63

from .envelope import HALVES, HEADER, MSGPACK

KIN = 8
"""Bytes at the beginning of a child's key that stand for fingerprint, callback and method."""
PART = 4
"""Bytes of a child's key for each value that the request carries."""
PARTS = 16
"""Values that have bytes of their own. If there are more, some share them."""
_CARRIED = ("errback", "attributes", "cb_kwargs", "meta")
_SETS = (2, 3)
"""Codes of types whose order says nothing."""
_OF_AN_ATTEMPT = frozenset(("proxy", "retry_times", "download_latency", "download_slot", "download_timeout"))
"""Keys of meta that a page passes on with its own meta, and that differ between two attempts of the page."""


def child_key(fingerprint: int, payload: bytes) -> bytes:
    """Return the key of a stored request among the children of its page: equal keys stand for the same request."""
    fields = _fields(payload)
    kin = _canonical([fingerprint, fields.get("callback"), fields.get("method")])
    return hash63(kin).to_bytes(KIN, "big") + b"".join(sorted(_parts(fields)))


def earlier_keys(fingerprint: int, payload: bytes) -> tuple[int, int]:
    """Return the numbers by which earlier releases have remembered the children of a page."""
    fields = _fields(payload)
    named = [fields.get(name) for name in ("callback", "errback", "cb_kwargs", "attributes")]
    identity = _canonical([named, fields["meta"]]) if fields else b""
    return fingerprint, hash63(b"%d:%b" % (fingerprint, identity))


def pair(new: Sequence[bytes], known: Sequence[bytes]) -> dict[int, int]:
    """Return which places in *new* are taken for which places in *known*; both hold keys of the same kin, in order.

    Values that are new at each attempt are in one of the two lists only. Keys that are equal without such values are
    paired first, then the rest as far as there is one for one.
    """
    common = _all_parts(new) & _all_parts(known)
    places: dict[frozenset[bytes], deque[int]] = defaultdict(deque)
    for place, key in enumerate(known):
        places[common & _parts_of(key)].append(place)
    pairs = {}
    for place, key in enumerate(new):
        same = places[common & _parts_of(key)]
        if same:
            pairs[place] = same.popleft()
    rest = sorted(place for left in places.values() for place in left)
    return {**pairs, **dict(zip((place for place in range(len(new)) if place not in pairs), rest, strict=False))}


def _all_parts(keys: Sequence[bytes]) -> frozenset[bytes]:
    return frozenset().union(*map(_parts_of, keys))


def _parts_of(key: bytes) -> frozenset[bytes]:
    return frozenset(key[begin : begin + PART] for begin in range(KIN, len(key), PART))


def _parts(fields: dict[str, Any]) -> list[bytes]:
    """Return a hash of each value that a request carries, of a few together if there are many."""
    leaves = [leaf for name in _CARRIED if fields.get(name) for leaf in _leaves(name, fields[name])]
    shared: dict[int, list[bytes]] = defaultdict(list)
    for number, (path, value) in enumerate(leaves):
        shared[number if len(leaves) <= PARTS else crc32(path) % PARTS].append(_joined(b"p", [path, value]))
    return [crc32(b"".join(sorted(parts))).to_bytes(PART, "big") for parts in shared.values()]


def _leaves(name: str, value: Any) -> Iterator[tuple[bytes, bytes]]:
    """Yield path and value of everything in *value* that is no dict."""
    stack = [(name.encode(), value)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, dict) and value:
            stack += [(_joined(path, [_canonical(key)]), part) for key, part in value.items()]
        else:
            yield path, _canonical(value)


def _fields(payload: bytes) -> dict[str, Any]:
    """Return the fields of a stored request, less what differs between two attempts; none if it is unreadable."""
    if payload[:1] != bytes([MSGPACK]):
        return {}
    try:
        fields = _unpack(payload[HEADER.size :])
        fields["meta"] = {key: value for key, value in (fields.get("meta") or {}).items() if _is_kept(key)}
    except (ValueError, TypeError, AttributeError, RecursionError, msgpack.UnpackException):
        return {}
    return fields  # type: ignore[no-any-return]


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
        inner = _unpack(value.data)
        if value.code in _SETS:
            return _joined(b"s", sorted(map(_canonical, inner)))
        return _joined(b"x%d" % value.code, [_canonical(inner)])
    return _joined(b"v", [msgpack.packb(value, **HALVES)])


def _joined(kind: bytes, parts: Any) -> bytes:
    return b"".join((kind, *(b"%d:%b" % (len(part), part) for part in parts), b";"))
