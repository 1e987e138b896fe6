"""Sitemaps as sites have them."""

from __future__ import annotations

import gzip

import pytest

from scrapy_t8.components.extensions.sitemaps import read_sitemap

NAME = "https://shop.example/maps/sitemap.xml"
SPACE = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


def urlset(*locations: str, encoding: str = "utf-8") -> str:
    entries = "".join(f"<url><loc>{location}</loc></url>" for location in locations)
    return f'<?xml version="1.0" encoding="{encoding}"?><urlset {SPACE}>{entries}</urlset>'


def pages(body: bytes, name: str = NAME) -> list[str]:
    content = read_sitemap(body, name)
    assert content.sitemaps == []
    return content.pages


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("https://shop.example/a", "https://shop.example/a"),
        ("\n  https://shop.example/a\t", "https://shop.example/a"),
        ("<![CDATA[https://shop.example/a?b=1&c=2]]>", "https://shop.example/a?b=1&c=2"),
        ("/a", "https://shop.example/a"),
        ("a", "https://shop.example/maps/a"),
        ("//cdn.example/a", "https://cdn.example/a"),
        ("", None),
        ("  \n", None),
        ("<!-- none -->", None),
    ],
)
def test_locations(location: str, url: str | None) -> None:
    assert pages(urlset(location, "https://shop.example/z").encode()) == [
        *([url] if url else []),
        "https://shop.example/z",
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1", "windows-1252"])
@pytest.mark.parametrize("is_packed", [False, True])
def test_encodings(encoding: str, is_packed: bool) -> None:
    body = urlset("https://shop.example/é", encoding=encoding.removesuffix("-sig")).encode(encoding)
    assert pages(gzip.compress(body) if is_packed else body) == ["https://shop.example/é"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_plain_text(encoding: str) -> None:
    text = "https://shop.example/a\r\n\r\n/é \nhttps://shop.example/c"
    expected = ["https://shop.example/a", "https://shop.example/é", "https://shop.example/c"]
    assert pages(text.encode(encoding), "https://shop.example/sitemap.txt") == expected


def test_white_space_before_the_declaration() -> None:
    assert pages(b"\n  " + urlset("https://shop.example/a").encode()) == ["https://shop.example/a"]


def test_an_index() -> None:
    body = f"<sitemapindex {SPACE}><sitemap><loc>a.xml</loc></sitemap><sitemap><loc> </loc></sitemap></sitemapindex>"
    assert read_sitemap(body.encode(), NAME) == ([], ["https://shop.example/maps/a.xml"])


@pytest.mark.parametrize("name", ["https://shop.example/robots.txt", "robots.txt"])
def test_robots(name: str) -> None:
    body = b"\xef\xbb\xbfSitemap: https://shop.example/a.xml\nUser-agent: *\nsitemap: https://shop.example/b.xml"
    assert read_sitemap(body, name) == ([], ["https://shop.example/a.xml", "https://shop.example/b.xml"])


@pytest.mark.parametrize("body", [b"<html><body>Not here</body></html>", b"Service is down for now", b"<rss></rss>"])
def test_what_is_no_sitemap(body: bytes) -> None:
    with pytest.raises(ValueError, match="it is no sitemap"):
        read_sitemap(body, NAME)
