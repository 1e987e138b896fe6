"""The downloader middleware that unpacks responses: a body whose end is missing is no response."""

from __future__ import annotations

import zlib

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.downloadermiddlewares.httpcompression import HttpCompressionMiddleware
from scrapy.exceptions import ResponseDataLossError
from scrapy.http import Response

HEADER = b"\x1f\x8b"
"""How a body in gzip format begins."""
WITH_HEADER = 31
"""The ``wbits`` of :mod:`zlib` for a body in gzip format."""
CHUNK = 1 << 16


class T8HttpCompressionMiddleware(HttpCompressionMiddleware):
    """Replaces Scrapy's, which takes what there is of a cut gzip body. Here such a body counts as one that was cut.

    ``DOWNLOAD_FAIL_ON_DATALOSS = False`` and ``download_fail_on_dataloss`` in meta mean what they do for any cut body.
    """

    fails = True
    """Whether a cut body is a failure."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> T8HttpCompressionMiddleware:
        middleware = super().from_crawler(crawler)
        middleware.fails = crawler.settings.getbool("DOWNLOAD_FAIL_ON_DATALOSS")
        return middleware

    def process_response(  # type: ignore[override]
        self, request: Request, response: Response
    ) -> Request | Response:
        unpacked = super().process_response(request, response)
        if unpacked is response or not isinstance(unpacked, Response) or not response.body.startswith(HEADER):
            return unpacked
        length = len(unpacked.body)
        if is_cut(response.body, length) and request.meta.get("download_fail_on_dataloss", self.fails):
            raise ResponseDataLossError(f"the gzip body ends too early, after {length} bytes")
        return unpacked


def is_cut(packed: bytes, length: int) -> bool:
    """Whether the end of a body in gzip format is missing. Its checksum and its length may be wrong.

    :param length: that of the unpacked body. The last four bytes have it, unless something follows or is missing.
    """
    if int.from_bytes(packed[-4:], "little") == length & 0xFFFFFFFF:
        return False
    while packed.startswith(HEADER):
        unpacking = zlib.decompressobj(WITH_HEADER)
        try:
            while packed and not unpacking.eof:
                unpacking.decompress(packed, CHUNK)
                packed = unpacking.unconsumed_tail
        except zlib.error as error:
            return "check" not in str(error)
        if not unpacking.eof:
            return True
        packed = unpacking.unused_data
    return False
