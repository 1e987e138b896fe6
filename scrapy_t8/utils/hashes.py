"""Hashes of 63 bits: as many as an SQLite integer has, less the sign."""

from __future__ import annotations

from hashlib import blake2b


def truncate63(digest: bytes) -> int:
    """Return the first 63 bits of *digest*, whose bits must be evenly distributed."""
    return int.from_bytes(digest[:8], "big") >> 1


def hash63(data: bytes) -> int:
    """Return a hash of *data*."""
    return truncate63(blake2b(data, digest_size=8).digest())


def content_fingerprint(content: bytes) -> int:
    """Return a fingerprint of the content of an item, which differs from that of any request."""
    return hash63(b"item:" + content)
