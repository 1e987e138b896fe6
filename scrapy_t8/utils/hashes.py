"""Hashes of 63 bits: as many as an SQLite integer has, less the sign."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.utils.request import RequestFingerprinter


def truncate63(digest: bytes) -> int:
    """Return the first 63 bits of *digest*, whose bits must be evenly distributed."""
    return int.from_bytes(digest[:8], "big") >> 1


def hash63(data: bytes) -> int:
    """Return a hash of *data*."""
    return truncate63(blake2b(data, digest_size=8).digest())


def fingerprints_of(crawler: Crawler) -> Callable[[Request], int]:
    """Return a function that shortens the fingerprint of *crawler* for a request to 63 bits.

    The fingerprint of a user's own fingerprinter is hashed, as its bits may not be evenly distributed.
    """
    fingerprinter = crawler.request_fingerprinter
    assert fingerprinter is not None
    of_request = fingerprinter.fingerprint
    shorten = truncate63 if type(fingerprinter) is RequestFingerprinter else hash63
    return lambda request: shorten(of_request(request))


def content_fingerprint(content: bytes) -> int:
    """Return a fingerprint of the content of an item, which differs from that of any request."""
    return hash63(b"item:" + content)
