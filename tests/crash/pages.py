"""The pages of the crash tests: a small site with everything that makes recovery hard."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from zlib import crc32

from aiohttp import web

from tests.support.site import Site

DETAILS = 10
"""Detail pages of one list page."""
SPECIAL = {
    1: "extra",
    2: "again",
    3: "go",
    4: "flaky",
    5: "gone",
    6: "broken",
    7: "slow",
    8: "memo",
    9: "known",
}
"""What kind of page a detail page leads to, by the last digit of its number."""


class TorturePages:
    """The pages of a site with so many list pages."""

    def __init__(self, lists: int) -> None:
        self._lists = lists

    async def answer(self, site: Site, request: web.Request, path: str) -> web.StreamResponse:
        count = site.counts[f"/{path}"]
        response = self._response(f"/{site.name}", path, count)
        if path == "tar" and count == 1:
            await site.held()
        else:
            await asyncio.sleep(latency(path))
        return response

    def _response(self, base: str, path: str, count: int) -> web.Response:
        kind, _, rest = path.partition("/")
        number = int(rest or 0)
        if kind == "go":
            hop = "go2" if number % 20 == 3 else "land"
            return web.Response(status=302, headers={"Location": f"{base}/{hop}/{number}"})
        if kind == "go2":
            return web.Response(status=301, headers={"Location": f"{base}/land/{number}"})
        if kind == "known":
            known = number * 7 % (self._lists * DETAILS)
            return web.Response(status=302, headers={"Location": f"{base}/detail/{known}"})
        if kind == "gone":
            return web.Response(status=404, text="gone")
        is_busy = count <= 1 + number // 10 % 2
        if kind == "down" or (kind == "flaky" and is_busy):
            return web.Response(status=503, text="later")
        return web.Response(text=page(base, kind, number, self._lists), content_type="text/html")


def latency(path: str) -> float:
    """Seconds before the answer: none for what is to follow its parent at once, else a few milliseconds."""
    return 0 if path.startswith("urgent") else 0.002 + crc32(path.encode()) % 20 / 1000


def page(base: str, kind: str, number: int, lists: int) -> str:
    """The HTML of a page with links."""
    anchors = [f'<a class="{name}" href="{base}{path}">x</a>' for name, path in links(kind, number, lists)]
    return f"<html><body><h1>{kind} {number}</h1>{''.join(anchors)}</body></html>"


def links(kind: str, number: int, lists: int) -> Iterator[tuple[str, str]]:
    """The kinds and paths that a page leads to."""
    details = lists * DETAILS
    if kind == "list":
        yield from (("detail", f"/detail/{number * DETAILS + digit}") for digit in range(DETAILS))
        yield from (("detail", f"/detail/{(number * 31 + step * 17) % details}") for step in range(3))
        if number + 3 < lists:
            yield "list", f"/list/{number + 3}"
        if number == 0:
            yield from (("late", "/late/0"), ("down", "/down/0"), ("big", "/big"), ("tar", "/tar"))
    elif kind == "detail":
        special = SPECIAL.get(number % DETAILS, "urgent")
        yield special, f"/{special}/{number}"
        yield "detail", f"/detail/{number * 13 % details}"
