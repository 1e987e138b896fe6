"""The cause of an ignored request names who has ignored it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from scrapy import Request, version_info
from scrapy.downloadermiddlewares.offsite import OffsiteMiddleware
from scrapy.downloadermiddlewares.redirect import RedirectMiddleware
from scrapy.exceptions import IgnoreRequest
from scrapy.http import Response
from scrapy.spiders import Spider
from scrapy.utils.test import get_crawler

from scrapy_t8.core.job.ignored import ending_of_ignored, ending_of_rejected
from tests.unit.core.parts import fingerprint63

REQUEST = Request("http://a/1", meta={"redirect_times": 20})


class SoldOut(IgnoreRequest):
    pass


class Stock:
    def process_request(self, request: Request) -> None:
        check(request)

    async def process_exception(self, request: Request, exception: Exception) -> None:
        raise SoldOut("sold")


class Outer:
    def process_response(self, request: Request, response: Response) -> None:
        Stock().process_request(request)


class Manager:
    """Has a function inside of a method, as in Scrapy 2.15: it is no method of the class."""

    def download(self) -> None:
        def process_request(request: Request) -> Manager:
            check(request)
            return self

        process_request(REQUEST)


class OwnOffsite(OffsiteMiddleware):
    """Of the project: what Scrapy's part of it ignores is off site, what it ignores itself is not."""

    def process_response(self, request: Request, response: Response) -> Response:
        raise IgnoreRequest("of my own")


def check(request: Request) -> None:
    raise IgnoreRequest("out of stock")


def offsite() -> Any:
    crawler = get_crawler(Spider, {"TELNETCONSOLE_ENABLED": False})
    crawler.spider = Spider("spider", allowed_domains=["b"])
    middleware = OwnOffsite.from_crawler(crawler)
    middleware.spider_opened(crawler.spider)
    return middleware


def redirect() -> None:
    crawler = get_crawler(Spider, {"TELNETCONSOLE_ENABLED": False})
    crawler.spider = Spider("spider")
    middleware = RedirectMiddleware.from_crawler(crawler)
    middleware.process_response(REQUEST, Response("http://a/1", 302, {"Location": "http://a/2"}))


@pytest.mark.parametrize(
    ("ignore", "cause", "note"),
    [
        (lambda: Stock().process_request(REQUEST), f"ignored:{__name__}.Stock", "out of stock"),
        (
            lambda: Outer().process_response(REQUEST, Response("http://a/1")),
            f"ignored:{__name__}.Stock",
            "out of stock",
        ),
        (lambda: asyncio.run(Stock().process_exception(REQUEST, ValueError())), f"ignored:{__name__}.Stock", "sold"),
        (lambda: check(REQUEST), "ignored:scrapy.exceptions.IgnoreRequest", "out of stock"),
        (Manager().download, "ignored:scrapy.exceptions.IgnoreRequest", "out of stock"),
        (lambda: offsite().process_request(REQUEST), "offsite", "Filtered offsite request to 'a'"),
        (lambda: offsite().process_response(REQUEST, None), f"ignored:{__name__}.OwnOffsite", "of my own"),
        (redirect, "redirects", "max redirections reached"),
    ],
)
def test_the_cause_is_the_class_that_has_ignored_it(ignore: Callable[[], None], cause: str, note: str) -> None:
    with pytest.raises(IgnoreRequest) as caught:
        ignore()
    ending = ending_of_ignored(REQUEST, caught.value)
    assert (ending.cause, ending.url, ending.callback) == (cause, "http://a/1", "parse")
    # Releases before Scrapy 2.18 give no reason for an offsite request.
    assert ending.note == (note if version_info >= (2, 18) or cause != "offsite" else "")


def test_an_error_without_a_traceback_is_named_by_its_class() -> None:
    assert ending_of_ignored(REQUEST, SoldOut()).cause == f"ignored:{__name__}.SoldOut"


OLD = Request("http://a/old")
LOGIN = Request("http://a/login", meta={"redirect_urls": ["http://a/1?c=3&b=2"]})


@pytest.mark.parametrize(
    ("original", "url", "before", "cause"),
    [
        (OLD, "http://a/home", ["http://a/old"], "duplicate"),
        (LOGIN, "http://a/1?b=2&c=3", ["http://a/1?c=3&b=2", "http://a/login"], "redirects"),
        (OLD, "http://a/old", [], "replaced"),
        (OLD, "http://a/token", [], "replaced"),
        (LOGIN, "http://a/token", ["http://a/1?c=3&b=2"], "replaced"),
        (None, "http://a/1", [], "replaced"),
    ],
)
def test_only_a_redirect_to_another_page_is_a_duplicate(
    original: Request | None, url: str, before: list[str], cause: str
) -> None:
    request = Request(url, meta={"redirect_urls": before})
    assert ending_of_rejected(request, original, fingerprint63).cause == cause
