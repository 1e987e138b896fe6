"""What sitemaps list: in XML of any encoding, in plain text, or named by a robots.txt; packed or not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

from scrapy.utils.gz import gunzip
from scrapy.utils.sitemap import Sitemap, sitemap_urls_from_robots

from scrapy_t8.utils.text import encoding_of

GZIP = b"\x1f\x8b"
LARGEST = 1 << 30
"""Bytes that a sitemap may unpack to."""
BLANK = b"\xef\xbb\xbf\xfe\xff \t\r\n"
"""What may stand before the first character of a sitemap: byte order marks and white space."""


class SitemapContent(NamedTuple):
    """The URLs of pages, and those of other sitemaps."""

    pages: list[str]
    sitemaps: list[str]


def read_sitemap(body: bytes, name: str) -> SitemapContent:
    """Return what a sitemap or a robots.txt lists. Relative URLs are joined with *name*; blank ones are none.

    :param name: its URL, or the path of a file.
    :raises ValueError: if it is no sitemap.
    """
    if body.startswith(GZIP):
        body = gunzip(body, max_size=LARGEST)
    if PurePosixPath(urlsplit(name).path).name == "robots.txt":
        return SitemapContent([], list(sitemap_urls_from_robots(body.lstrip(BLANK), base_url=name)))
    if not body[:64].replace(b"\0", b"").lstrip(BLANK).startswith(b"<"):
        return SitemapContent(list(_lines(body, name)), [])
    sitemap = Sitemap(body)
    urls = [urljoin(name, entry["loc"]) for entry in sitemap if entry["loc"]]
    if sitemap.type == "sitemapindex":
        return SitemapContent([], urls)
    if sitemap.type != "urlset":
        raise ValueError(f"it is no sitemap, but has <{sitemap.type}> as its outermost element")
    return SitemapContent(urls, [])


def _lines(body: bytes, name: str) -> Iterator[str]:
    """Yield the URLs of a sitemap in plain text, one in a line.

    :raises ValueError: if a line is no URL: this is some other text.
    """
    encoding, mark = encoding_of(body)
    for line in body[len(mark) :].decode(encoding, errors="replace").splitlines():
        text = line.strip()
        if text and " " in text:
            raise ValueError(f"it is no sitemap: a line of it is {text[:80]!r}")
        if text:
            yield urljoin(name, text)
