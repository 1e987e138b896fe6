"""The pages of the site. The first word of a path says how a page behaves; a number may follow it, as in ``flaky-2/x``.

Plain pages are ``p/NAME`` and ``ok/NAME``.
"""

from __future__ import annotations

import asyncio
import gzip
import random
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from aiohttp import web

from .site import Site

PAGES, PER_PAGE = 20, 5
"""The size of a list: pages, and entries of one."""
RETRY_AFTER = {"nonsense": "when I like", "year": str(365 * 86400)}
MORE_SITEMAPS = {"a.xml": ("one", "two?a=2&amp;b=1"), "b.xml.gz": ("three",)}
SITEMAP = "http://www.sitemaps.org/schemas/sitemap/0.9"
VALUES = {"pages": PAGES, "delay": 0.0, "jump": 0, "around": 0, "gone": 0, "shift": 0, "down": 0, "away": 0}
"""What a test may set: how many ``pages`` a list has; the longest ``delay`` of lists, entries and pictures in seconds;
whether a page beyond the last one shows the first (``jump``) or is a 404 (``gone``); after how many pages a list shows
its first one again (``around``); by how many entries a list has moved up (``shift``); how many more times the pages
under ``down`` fail; how many more requests for any page are answered with 503 (``away``)."""


@dataclass(frozen=True)
class Asked:
    """A request for a page, taken apart."""

    site: Site
    request: web.Request
    rest: str
    """The path and query after the first word."""
    number: str
    """What follows the first word after a hyphen."""
    count: int
    """How often this path was asked for, with this time."""

    def url(self, path: str) -> str:
        """Return the URL of another page of the site, on the host that was asked."""
        return f"http://{self.request.host}/{self.site.name}/{path}"

    @property
    def is_early(self) -> bool:
        """Whether the page was asked for at most as often as its number says."""
        return self.count <= int(self.number)


class CommonPages:
    """Answers by the method whose name is the first word of the path."""

    def __init__(self) -> None:
        self._chance = random.Random(4)

    async def answer(self, site: Site, request: web.Request, path: str) -> web.StreamResponse:
        if site.values["away"] > 0:
            site.values["away"] -= 1
            return html("away", 503)
        word, _, rest = path.partition("/")
        kind, _, number = word.partition("?")[0].partition("-")
        page = getattr(self, kind.replace(".", "_"))
        answer: web.StreamResponse = await page(Asked(site, request, rest, number, site.counts[f"/{path}"]))
        return answer

    # -- plain ones, and such as answer with a status -----------------------------------------------------------------

    async def p(self, asked: Asked) -> web.StreamResponse:
        return html(f"<h1>{asked.rest}</h1>")

    ok = p

    async def status(self, asked: Asked) -> web.StreamResponse:
        """``status/404/name``"""
        code, _, name = asked.rest.partition("/")
        return html(name, int(code))

    async def in_turn(self, asked: Asked) -> web.StreamResponse:
        """``in_turn/200,503,302/name``: one status after the other, the last for ever; 302 leads to ``p/name``."""
        codes, _, name = asked.rest.partition("/")
        turns = [int(code) for code in codes.split(",")]
        code = turns[min(asked.count, len(turns)) - 1]
        return html(asked.rest, code, location=asked.url(f"p/{name}") if code == 302 else "")

    async def to(self, asked: Asked) -> web.StreamResponse:
        """``to/p/1``: a redirect to ``p/1``."""
        return html("", 302, location=asked.url(asked.rest))

    async def loop(self, asked: Asked) -> web.StreamResponse:
        return html("", 302, location=asked.url(f"loop/{'b' if asked.rest == 'a' else 'a'}"))

    async def refresh(self, asked: Asked) -> web.StreamResponse:
        """``refresh/p/1``: an HTML page that leads on to ``p/1``."""
        return html(f'<head><meta http-equiv="refresh" content="0;url={asked.url(asked.rest)}"></head>')

    async def tree(self, asked: Asked) -> web.StreamResponse:
        """``tree/3``: links to its two children in a tree of 15 pages, to its parent and to itself."""
        number = int(asked.rest)
        links = [n for n in (2 * number, 2 * number + 1, number // 2, number) if 0 < n < 16]
        return html("".join(f'<a href="{asked.url(f"tree/{n}")}">{n}</a>' for n in links))

    # -- late ones ----------------------------------------------------------------------------------------------------

    async def slow(self, asked: Asked) -> web.StreamResponse:
        """``slow/50/name``: after 50 milliseconds."""
        milliseconds, _, name = asked.rest.partition("/")
        await asyncio.sleep(int(milliseconds) / 1000)
        return html(name)

    async def held(self, asked: Asked) -> web.StreamResponse:
        """``held/name``: when the test releases it."""
        await asked.site.held()
        return html(asked.rest)

    # -- failures -----------------------------------------------------------------------------------------------------

    async def gone(self, asked: Asked) -> web.StreamResponse:
        return html("no such page", 404)

    async def broken(self, asked: Asked) -> web.StreamResponse:
        return html("a stack trace", 500)

    async def down(self, asked: Asked) -> web.StreamResponse:
        """503 as often as the value ``down`` of the site says, then well."""
        if asked.site.values["down"] > 0:
            asked.site.values["down"] -= 1
            return html("down", 503)
        return html(asked.rest)

    async def flaky(self, asked: Asked) -> web.StreamResponse:
        """``flaky-M``: 503 for the first M times."""
        return html("not yet", 503) if asked.is_early else html(asked.rest)

    async def later(self, asked: Asked) -> web.StreamResponse:
        """``later-S``: 429 with a Retry-After of S seconds, once."""
        return html("slow down", 429, retry_after=asked.number) if asked.count == 1 else html(asked.rest)

    async def asks(self, asked: Asked) -> web.StreamResponse:
        """``asks-X``: 503 with a Retry-After beyond reason, once."""
        return html("", 503, retry_after=RETRY_AFTER[asked.number]) if asked.count == 1 else html(asked.rest)

    async def captcha(self, asked: Asked) -> web.StreamResponse:
        """``captcha-M``: for the first M times a 200 that is no answer."""
        return html("are you human?" if asked.is_early else asked.rest)

    async def cut(self, asked: Asked) -> web.StreamResponse:
        """``cut-M``: a connection reset for the first M times."""
        if asked.is_early:
            hang_up(asked.request)
        return html(asked.rest)

    async def torn(self, asked: Asked) -> web.StreamResponse:
        """``torn-M``: a body cut short for the first M times."""
        if not asked.is_early:
            return html(asked.rest)
        answer = web.StreamResponse(headers={"Content-Length": "1000"})
        await answer.prepare(asked.request)
        await answer.write(b"half")
        hang_up(asked.request)
        return answer

    async def misread(self, asked: Asked) -> web.StreamResponse:
        """``misread-M``: plain text that is said to be gzip for the first M times."""
        headers = {"Content-Encoding": "gzip"} if asked.is_early else None
        return web.Response(body=asked.rest.encode(), headers=headers)

    async def halved(self, asked: Asked) -> web.StreamResponse:
        """``halved-M``: half of a gzip body, for the first M times."""
        packed = gzip.compress(bytes(range(256)) * 40)
        body = packed[: len(packed) // 2] if asked.is_early else packed
        return web.Response(body=body, headers={"Content-Encoding": "gzip"}, content_type="text/html")

    # -- lists, cursors, entries and pictures. With ``?bad=M`` they fail M times first ---------------------------------

    async def list(self, asked: Asked) -> web.StreamResponse:
        """``list/TAG?page=N``"""
        values, tag, page = asked.site.values, asked.rest.partition("?")[0], int(asked.request.query["page"])
        if values["gone"] and page > values["pages"]:
            return await self._served(asked, html("", 404))
        cars = "".join(
            f'<a class="car" href="{asked.url(f"car/{slug}")}">{slug}</a>' for slug in cars_of(asked, tag, page)
        )
        total = values["pages"] * PER_PAGE - values["shift"]
        return await self._served(
            asked, html(f'{cars}<b class="last">{values["pages"]}</b><b class="total">{total}</b>')
        )

    async def api(self, asked: Asked) -> web.StreamResponse:
        """``api/TAG?after=CURSOR``"""
        values, tag, page = (
            asked.site.values,
            asked.rest.partition("?")[0],
            int(asked.request.query.get("after") or 0) + 1,
        )
        following = page if page < values["pages"] or values["around"] else None
        return await self._served(asked, web.json_response({"cars": cars_of(asked, tag, page), "next": following}))

    async def car(self, asked: Asked) -> web.StreamResponse:
        slug = asked.rest.partition("?")[0]
        pictures = (asked.url(f"picture/{slug}-{n}.png?bad={n % 2}") for n in range(3))
        return await self._served(asked, html("".join(f'<img src="{url}">' for url in pictures)))

    async def picture(self, asked: Asked) -> web.StreamResponse:
        if "gone" in asked.rest:
            return await self._served(asked, html("", 404))
        body = b"no picture" if "broken" in asked.rest else picture()
        return await self._served(asked, web.Response(body=body, content_type="image/png"))

    async def visit(self, asked: Asked) -> web.StreamResponse:
        """Says which cookies came; sets one that lasts, one that expires soon, and one of the session."""
        answer = web.json_response(dict(asked.request.cookies))
        if asked.rest.startswith("first"):
            answer.set_cookie("lasting", "1", max_age=100_000)
            answer.set_cookie("brief", "1", max_age=1000)
            answer.set_cookie("session", "1")
        return await self._served(asked, answer)

    async def _served(self, asked: Asked, answer: web.StreamResponse) -> web.StreamResponse:
        await asyncio.sleep(self._chance.random() * asked.site.values["delay"])
        return html("", 503) if asked.count <= int(asked.request.query.get("bad", 0)) else answer

    # -- sitemaps, and what is sent to the site ------------------------------------------------------------------------

    async def sitemap_xml(self, asked: Asked) -> web.StreamResponse:
        return xml("urlset", "url", *(asked.url(f"p/{n}") for n in range(12)))

    async def index_xml(self, asked: Asked) -> web.StreamResponse:
        return xml("sitemapindex", "sitemap", *map(asked.url, MORE_SITEMAPS))

    async def a_xml(self, asked: Asked) -> web.StreamResponse:
        return xml("urlset", "url", *map(asked.url, MORE_SITEMAPS["a.xml"]))

    async def b_xml_gz(self, asked: Asked) -> web.StreamResponse:
        plain = xml("urlset", "url", *map(asked.url, MORE_SITEMAPS["b.xml.gz"])).body
        assert isinstance(plain, bytes)
        return web.Response(body=gzip.compress(plain), content_type="application/octet-stream")

    async def robots_txt(self, asked: Asked) -> web.StreamResponse:
        return web.Response(text=f"User-agent: *\nSitemap: {asked.url('a.xml')}\n")

    async def notify(self, asked: Asked) -> web.StreamResponse:
        """``notify/ok...``, ``notify/broken...``, ``notify/held...``: keeps what was posted."""
        asked.site.posted.append(await asked.request.json())
        if asked.rest.startswith("held"):
            await asked.site.held()
        return html("", 500 if asked.rest.startswith("broken") else 200)

    none_xml = gone

    def __getattr__(self, name: str) -> Any:
        """A page of any other kind is plain."""
        return self.p


def html(text: str, status: int = 200, *, location: str = "", retry_after: str = "") -> web.Response:
    """Return an HTML page."""
    headers = {"Location": location, "Retry-After": retry_after}
    given = {name: value for name, value in headers.items() if value}
    return web.Response(text=f"<html>{text}</html>", status=status, headers=given, content_type="text/html")


def xml(root: str, entry: str, *urls: str) -> web.Response:
    entries = "".join(f"<{entry}><loc>{url}</loc></{entry}>" for url in urls)
    return web.Response(text=f'<{root} xmlns="{SITEMAP}">{entries}</{root}>', content_type="text/xml")


def hang_up(request: web.Request) -> None:
    assert request.transport is not None
    request.transport.abort()


def cars_of(asked: Asked, tag: str, page: int) -> list[str]:
    """Return the slugs on a page of a list."""
    values = asked.site.values
    if values["around"]:
        page = (page - 1) % values["around"] + 1
    if values["jump"] and page > values["pages"]:
        page = 1
    if values["shift"]:
        # Some are gone from the top, or new ones have come there.
        shift, count = values["shift"], values["pages"] * PER_PAGE
        places = range((page - 1) * PER_PAGE + shift, min(page * PER_PAGE + shift, count))
        return [f"{tag}-{1 + n // PER_PAGE}-{n % PER_PAGE}" if n >= 0 else f"{tag}-new{n}" for n in places]
    return [f"{tag}-{page}-{n}" for n in range(PER_PAGE)] if page <= values["pages"] else []


def picture() -> bytes:
    from PIL import Image

    file = BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, "PNG")
    return file.getvalue()
