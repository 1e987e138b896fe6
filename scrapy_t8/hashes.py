"""63 bits that stand for something longer: as many as an SQLite integer has, less the sign."""

from __future__ import annotations

from hashlib import blake2b


def cut(digest: bytes) -> int:
    """Of a digest that spreads evenly, its beginning will do."""
    return int.from_bytes(digest[:8], "big") >> 1


def hashed(data: bytes) -> int:
    """A hash of anything."""
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big") >> 1
