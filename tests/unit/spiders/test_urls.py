"""The URL of a slug leads to the page of that slug, and that of a cursor has the cursor."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from scrapy import Request

from scrapy_t8.spiders.urls import url_of_cursor, url_of_slug


@pytest.mark.parametrize(
    ("template", "slug", "url"),
    [
        ("https://a/p/{slug}", "plain-1_2.x~", "https://a/p/plain-1_2.x~"),
        ("https://a/p/{slug}", "f#sharp", "https://a/p/f%23sharp"),
        ("https://a/p/{slug}/", "who? me", "https://a/p/who%3F%20me/"),
        ("https://a/p/{slug}", "100%", "https://a/p/100%25"),
        ("https://a/p/{slug}", "of/two parts", "https://a/p/of/two%20parts"),
        ("https://a/p/{slug}", "caf%C3%A9 é", "https://a/p/caf%C3%A9%20%C3%A9"),
        ("https://a/p/{slug}", "50%é", "https://a/p/50%25%C3%A9"),
        ("https://a/p?q={slug}&n=1", "a&b=c/d+e#f", "https://a/p?q=a%26b%3Dc%2Fd%2Be%23f&n=1"),
        ("https://{slug}.a/{slug}", "x", "https://x.a/x"),
        ("{slug}", "https://a/p?q=1", "https://a/p?q=1"),
        ("https://a/{slug:>4}/{{x}}", "ab", "https://a/%20%20ab/{x}"),
    ],
)
def test_urls(template: str, slug: str, url: str) -> None:
    assert url_of_slug(template, slug) == url


@pytest.mark.parametrize("slug", ["c#", "a?b=c", "50%", "a b", "ä/ö", "x&y", "semi;colon", "100% ok?", "tab\there"])
def test_the_site_reads_the_slug_that_was_meant(slug: str) -> None:
    path = urlsplit(Request(url_of_slug("https://a/p/{slug}", slug)).url).path
    assert unquote(path) == f"/p/{slug}"
    query = urlsplit(Request(url_of_slug("https://a/p?q={slug}", slug)).url).query
    assert parse_qs(query) == {"q": [slug]}


@pytest.mark.parametrize(
    ("template", "cursor", "url"),
    [
        ("https://a/api?after={cursor}&tag={tag}", "MTI+/w==", "https://a/api?after=MTI%2B%2Fw%3D%3D&tag=a&b=c"),
        ("https://a/api?after={cursor}", "", "https://a/api?after="),
        ("https://a/api?after={cursor}", "a%2Bb", "https://a/api?after=a%2Bb"),
        ("https://a/list{cursor}", "?page=2&x=1", "https://a/list?page=2&x=1"),
        ("https://a/{tag}/{page:03d}", "", "https://a/a&b=c/007"),
    ],
)
def test_urls_of_cursors(template: str, cursor: str, url: str) -> None:
    assert url_of_cursor(template, cursor, page=7, tag="a&b=c") == url
