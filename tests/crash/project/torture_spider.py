"""The spider of the crash tests: nothing about it makes recovery easy."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

from scrapy import Request, Spider
from scrapy.http import Response
from twisted.python.failure import Failure

AWKWARD = 'a "quoted", split\nline with \u00e4\u20ac\u2028 in it'
CALLBACKS = {"go": "plain", "flaky": "coroutine", "known": "detail", "broken": "broken", "slow": "slow"}
KINDS = ("extra", "again", "memo", "gone", "urgent", *CALLBACKS)
BIG_ITEMS, BIG_NOTE = 60, "x" * 120_000


class BrokenOnPurpose(Exception):
    """The one traceback that belongs in the log."""


class TortureSpider(Spider):
    """Arguments: the ``base`` URL; a path to ``skip``; one that is ``poison``; whether to follow ``big``, ``tar``."""

    name = "torture"
    base: str
    skip = poison = big = tar = ""

    async def start(self) -> AsyncIterator[Any]:
        """Items and requests, one of them twice, with pauses."""
        yield row("start", "", 0)
        yield row("start", "", 0)
        for number in range(3):
            yield Request(f"{self.base}/list/{number}", self.parse_list, dont_filter=True)
            await asyncio.sleep(0.01)
            yield row("start", "", number)
        yield Request(f"{self.base}/list/0", self.parse_list, dont_filter=True)

    # -- pages ---------------------------------------------------------------------------------------------------

    def parse_list(self, response: Response) -> Iterator[Any]:
        if self._is_absent(response):
            return
        yield row("list", self._path(response))
        for href in hrefs(response, "detail"):
            yield response.follow(href, self.detail)
        yield row("list", self._path(response))
        for href in hrefs(response, "list"):
            yield response.follow(href, self.parse_list)
        for href in hrefs(response, "late"):
            yield response.follow(href, self.plain, priority=-100)
        for href in hrefs(response, "down"):
            yield response.follow(href, self.plain, errback=self.failed)
        for href in hrefs(response, "big") if self.big else ():
            yield response.follow(href, self.parse_big)
        for href in hrefs(response, "tar") if self.tar else ():
            yield response.follow(href, self.plain, priority=50)

    def detail(self, response: Response) -> Iterator[Any]:
        """Several items, some exactly like those of other pages, and one link to a page of a difficult kind."""
        if self._is_absent(response):
            return
        path = self._path(response)
        for number in range(1 + int(path.rpartition("/")[2]) % 4):
            yield row("detail", path, number)
        yield row("same", "")
        for kind in KINDS:
            for href in hrefs(response, kind):
                yield from self._special(response, kind, href)
        for href in hrefs(response, "detail"):
            yield response.follow(href, self.detail)

    def plain(self, response: Response) -> Iterator[Any]:
        if self._is_absent(response):
            return
        yield row("plain", self._path(response))
        yield self._again(response, 0)
        yield row("plain", self._path(response), 1)

    def extra(self, response: Response, owner: str, part: int) -> Iterator[Any]:
        """A page that many lead to, each time with other arguments."""
        yield row("extra", owner, part)

    async def coroutine(self, response: Response) -> list[Any]:
        await asyncio.sleep(0.01)
        return [row("coroutine", self._path(response)), self._again(response, 0)]

    def broken(self, response: Response) -> Iterator[Any]:
        yield row("broken", self._path(response))
        yield self._again(response, 0)
        yield row("broken", self._path(response), 1)
        raise BrokenOnPurpose(response.url)

    async def slow(self, response: Response) -> AsyncIterator[Any]:
        """Children and items with pauses between them, so that a kill finds some of them done and some not yet."""
        path = self._path(response)
        pause = 0.02 + int(path.rpartition("/")[2]) % 50 / 500
        for part in range(3):
            yield row("slow", path, part)
            yield self._again(response, part)
            yield self._post(response, part)
            await asyncio.sleep(pause)
        yield Request(f"{self.base}/memo/{path.rpartition('/')[2]}000", lambda found: self.memo(found, path))
        yield row("slow", path, 3)

    def memo(self, response: Response, owner: str) -> Iterator[Any]:
        """The callback of a request that lives in memory only; so does its child."""
        yield row("memo", owner)
        yield self._again(response, 0)
        yield Request(f"{response.url}1", lambda found: self.extra(found, owner, 9))

    def parse_big(self, response: Response) -> Iterator[Any]:
        for number in range(BIG_ITEMS):
            yield {**row("big", "", number), "note": BIG_NOTE}

    def failed(self, failure: Failure) -> Iterator[Any]:
        response = failure.value.response  # type: ignore[union-attr]
        yield row("failed", self._path(response))
        yield self._again(response, 0)
        yield row("failed", self._path(response), 1)

    # -- what pages lead to --------------------------------------------------------------------------------------

    def _special(self, response: Response, kind: str, href: str) -> Iterator[Request]:
        """The requests for a page of a difficult kind."""
        path = self._path(response)
        if kind == "extra":
            yield from (self._post(response, part) for part in range(2))
        elif kind == "again":
            yield from (self._again(response, part) for part in range(2))
        elif kind == "memo":
            yield response.follow(href, lambda found: self.memo(found, path))
        elif kind == "gone":
            yield response.follow(href, self.plain, errback=self.failed)
        elif kind == "urgent":
            yield response.follow(href, self.plain, priority=100)
        else:
            yield response.follow(href, getattr(self, CALLBACKS[kind]))

    def _again(self, response: Response, part: int) -> Request:
        """The same URL for everybody; only the arguments tell whose it is."""
        arguments = {"owner": self._path(response), "part": part}
        return Request(f"{self.base}/again", self.extra, dont_filter=True, cb_kwargs=arguments)

    def _post(self, response: Response, part: int) -> Request:
        arguments = {"owner": self._path(response), "part": 20 + part}
        return Request(
            f"{self.base}/extra", self.extra, method="POST", body=b"a=1", dont_filter=True, cb_kwargs=arguments
        )

    # -- where we are --------------------------------------------------------------------------------------------

    def _path(self, response: Response) -> str:
        """The path of a response, the same in every crawl."""
        return urlsplit(response.url).path.removeprefix(urlsplit(self.base).path)

    def _is_absent(self, response: Response) -> bool:
        """Whether this page is to be passed over. One that is poison takes the process with it."""
        path = self._path(response)
        if path == self.poison:
            os.kill(os.getpid(), signal.SIGKILL)
        return path == self.skip


def row(kind: str, page: str, number: int = 0) -> dict[str, Any]:
    """An item without a key: that another is exactly like it says nothing."""
    return {"kind": kind, "page": page, "number": number, "note": AWKWARD if number == 1 else ""}


def hrefs(response: Response, kind: str) -> list[str]:
    return response.css(f"a.{kind}::attr(href)").getall()
