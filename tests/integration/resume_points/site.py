"""A site of lists, cursors, details and pictures, some of which fail at first; it writes down what it has served."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter
from io import BytesIO

from aiohttp import web

PAGES, PER_PAGE = 40, 5


class Site:
    """``/list/TAG?page=N``, ``/api/TAG?after=TOKEN``, ``/car/SLUG``, ``/picture/NAME``; ``/hits`` is the log,
    ``/count`` its length.

    What ``?bad=M`` is asked of fails M times first. ``/set?NAME=VALUE`` changes: ``pages``, ``delay`` (seconds, at the
    most), ``jump`` (pages beyond the last show the first one), ``around`` (every so many pages come again).
    """

    def __init__(self) -> None:
        self.hits: list[tuple[float, str, int]] = []
        self.counts: Counter[str] = Counter()
        self.set = {
            "pages": float(PAGES),
            "delay": 0.02,
            "jump": 0.0,
            "around": 0.0,
            "gone": 0.0,
            "shift": 0.0,
            "slow": 30.0,
            "robotless": 0.0,
        }
        self.chance = random.Random(4)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/hits", self.log)
        app.router.add_get("/count", self.count)
        app.router.add_get("/set", self.change)
        app.router.add_get("/list/{tag}", self.list)
        app.router.add_get("/api/{tag}", self.api)
        app.router.add_get("/car/{slug}", self.car)
        app.router.add_get("/picture/{name}", self.picture)
        app.router.add_get("/visit/{name}", self.visit)
        app.router.add_get("/slow/{name}", self.slow)
        app.router.add_get("/robots.txt", self.robots)
        return app

    async def log(self, request: web.Request) -> web.Response:
        return web.json_response(self.hits)

    async def count(self, request: web.Request) -> web.Response:
        return web.json_response(len(self.hits))

    async def change(self, request: web.Request) -> web.Response:
        self.set.update({name: float(value) for name, value in request.query.items()})
        return web.Response()

    async def _served(self, request: web.Request, answer: web.Response) -> web.Response:
        path = str(request.rel_url)
        await asyncio.sleep(self.chance.random() * self.set["delay"])
        self.counts[path] += 1
        if self.counts[path] <= int(request.query.get("bad", 0)):
            answer = web.Response(status=503)
        self.hits.append((time.time(), path, answer.status))
        return answer

    def _cars(self, tag: str, page: int) -> list[str]:
        if self.set["around"]:
            page = (page - 1) % int(self.set["around"]) + 1
        if self.set["jump"] and page > self.set["pages"]:
            page = 1
        if self.set["shift"]:
            # Some are gone from the top, or new ones have come there.
            shift, count = int(self.set["shift"]), int(self.set["pages"]) * PER_PAGE
            places = range((page - 1) * PER_PAGE + shift, min(page * PER_PAGE + shift, count))
            return [f"{tag}-{1 + n // PER_PAGE}-{n % PER_PAGE}" if n >= 0 else f"{tag}-new{n}" for n in places]
        return [f"{tag}-{page}-{n}" for n in range(PER_PAGE)] if page <= self.set["pages"] else []

    async def list(self, request: web.Request) -> web.Response:
        tag, page = request.match_info["tag"], int(request.query["page"])
        if self.set["gone"] and page > self.set["pages"]:
            return await self._served(request, web.Response(status=404))
        cars = "".join(f'<a class="car" href="/car/{slug}">{slug}</a>' for slug in self._cars(tag, page))
        total = self.set["pages"] * PER_PAGE - self.set["shift"]
        last = f'<b class="last">{self.set["pages"]:.0f}</b><b class="total">{total:.0f}</b>'
        return await self._served(request, web.Response(text=f"<html>{cars}{last}</html>", content_type="text/html"))

    async def api(self, request: web.Request) -> web.Response:
        tag, page = request.match_info["tag"], int(request.query.get("after") or 0) + 1
        following = page if page < self.set["pages"] or self.set["around"] else None
        answer = {"cars": self._cars(tag, page), "next": following}
        return await self._served(request, web.json_response(answer))

    async def car(self, request: web.Request) -> web.Response:
        slug = request.match_info["slug"]
        pictures = "".join(f'<img src="/picture/{slug}-{n}.png?bad={n % 2}">' for n in range(3))
        return await self._served(request, web.Response(text=f"<html>{pictures}</html>", content_type="text/html"))

    async def visit(self, request: web.Request) -> web.Response:
        """Says which cookies it got; sets one that lasts, one that expires soon, and one of the session."""
        answer = web.json_response(dict(request.cookies))
        if request.match_info["name"].startswith("first"):
            answer.set_cookie("lasting", "1", max_age=1000)
            answer.set_cookie("brief", "1", max_age=3)
            answer.set_cookie("session", "1")
        return await self._served(request, answer)

    async def slow(self, request: web.Request) -> web.Response:
        self.hits.append((time.time(), str(request.rel_url), 0))
        await asyncio.sleep(self.set["slow"])
        return await self._served(request, web.Response(text="at last"))

    async def robots(self, request: web.Request) -> web.Response:
        answer = web.Response(text="User-agent: *\nDisallow: /car/secret\n")
        return await self._served(request, web.Response(status=503) if self.set["robotless"] else answer)

    async def picture(self, request: web.Request) -> web.Response:
        if "gone" in request.match_info["name"]:
            return await self._served(request, web.Response(status=404))
        body = b"no picture" if "broken" in request.match_info["name"] else picture()
        return await self._served(request, web.Response(body=body, content_type="image/png"))


def picture() -> bytes:
    from PIL import Image

    file = BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, "PNG")
    return file.getvalue()


async def serve() -> None:
    runner = web.AppRunner(Site().app(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert runner.addresses
    sys.stdout.write(json.dumps({"port": runner.addresses[0][1]}) + "\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve())
