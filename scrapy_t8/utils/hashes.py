"""63 bits that stand for something longer: as many as an SQLite integer has, less the sign."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.utils.request import RequestFingerprinter


def cut(digest: bytes) -> int:
    """Of a digest that spreads evenly, its beginning will do."""
    return int.from_bytes(digest[:8], "big") >> 1


def hashed(data: bytes) -> int:
    """A hash of anything."""
    return cut(blake2b(data, digest_size=8).digest())


def fingerprints_of(crawler: Crawler) -> Callable[[Request], int]:
    """63 bits of Scrapy's own fingerprint; of a hash of it, where a user's fingerprinter need not spread evenly."""
    fingerprinter = crawler.request_fingerprinter
    assert fingerprinter is not None
    of_request, spread = fingerprinter.fingerprint, cut if type(fingerprinter) is RequestFingerprinter else hashed
    return lambda request: spread(of_request(request))


def content_fingerprint(content: bytes) -> int:
    """The same for the content of an item, in a domain of its own."""
    return hashed(b"item:" + content)
