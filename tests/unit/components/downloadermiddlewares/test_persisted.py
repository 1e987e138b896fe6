"""Cookies and robots.txt: what one run dumps, the next one loads."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from scrapy import Request, Spider
from scrapy.http import Response
from scrapy.utils.test import get_crawler

from scrapy_t8 import T8CookiesMiddleware, T8RobotsTxtMiddleware

URL = "https://example.com/page"


def answered(middleware: T8CookiesMiddleware, cookie: str, jar: object = None) -> None:
    request = Request(URL, meta={"cookiejar": jar})
    middleware.process_response(request, Response(URL, headers={"Set-Cookie": cookie}, request=request))


def sent(middleware: T8CookiesMiddleware, jar: object = None) -> bytes | None:
    request = Request(URL, meta={"cookiejar": jar})
    middleware.process_request(request)
    return request.headers.get("Cookie")


def test_cookies_are_dumped_after_a_response_has_changed_them() -> None:
    first, second = T8CookiesMiddleware(), T8CookiesMiddleware()
    answered(first, "a=1")
    answered(first, "b=2", jar="other")
    stored = dict(first.dump(force=False))
    assert len(stored) == 2
    assert first.dump(force=True) == {}, "nothing has changed since"
    second.load(stored)
    assert [sent(second), sent(second, "other")] == [b"a=1", b"b=2"]


def test_cookies_that_have_expired_are_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = T8CookiesMiddleware(), T8CookiesMiddleware()
    answered(first, "a=1; Max-Age=100")
    answered(first, "b=2")
    later = time.time() + 101
    monkeypatch.setattr(time, "time", lambda: later)
    second.load(first.dump(force=False))
    assert sent(second) == b"b=2"


def test_a_jar_that_cannot_be_stored_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    middleware, jar = T8CookiesMiddleware(), object()
    for value in "12":
        answered(middleware, f"a={value}", jar=jar)
        assert middleware.dump(force=False) == {}
    (record,) = caplog.records
    assert "cannot be stored and will not survive this run" in record.getMessage()


def test_damaged_cookies_are_named(caplog: pytest.LogCaptureFixture) -> None:
    T8CookiesMiddleware().load({"cookies:None": b"\x80"})
    assert "The stored jar None of cookies cannot be read" in caplog.text


@pytest.fixture
def robots() -> T8RobotsTxtMiddleware:
    return T8RobotsTxtMiddleware(get_crawler(Spider, {"ROBOTSTXT_OBEY": True, "ROBOTSTXT_PARSER": PARSER}))


PARSER = "scrapy.robotstxt.ProtegoRobotParser"
FORBIDDEN = b"User-agent: *\nDisallow: /"


def downloaded(middleware: T8RobotsTxtMiddleware, status: int, body: bytes = b"") -> None:
    request = Request("https://example.com/robots.txt", meta={"dont_obey_robotstxt": True})
    middleware.response_downloaded(Response(request.url, status=status, body=body), request)


def test_each_robots_txt_is_dumped_when_it_is_new(robots: T8RobotsTxtMiddleware) -> None:
    downloaded(robots, 200, FORBIDDEN)
    stored = dict(robots.dump(force=False))
    assert stored == {"robots:example.com": FORBIDDEN}
    downloaded(robots, 200, FORBIDDEN)
    assert robots.dump(force=True) == {}
    downloaded(robots, 404)
    assert robots.dump(force=False) == {"robots:example.com": b""}, "a site without the file allows everything"


@pytest.mark.parametrize(("status", "allowed"), [(503, False), (200, True)])
def test_the_copy_holds_while_the_file_cannot_be_fetched(
    status: int, allowed: bool, robots: T8RobotsTxtMiddleware, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fetched(self: Any, request: Request) -> Any:
        return self._parser(b"")

    monkeypatch.setattr(T8RobotsTxtMiddleware.__mro__[1], "robot_parser", fetched)
    robots.load({"robots:example.com": FORBIDDEN})
    downloaded(robots, status)
    parser = asyncio.run(robots.robot_parser(Request(URL)))
    assert parser.allowed(URL, "bot") is allowed
