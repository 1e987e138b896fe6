"""A site that fails in every way, and writes down when it was asked for what."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter

from aiohttp import web

ASKED = {"nonsense": "when I like", "year": str(365 * 86400)}


class Site:
    """Pages under ``/WAY/NAME``; the way is how they fail.

    ``ok``; ``flaky-M`` (503 for the first M hits); ``later-S`` (429 with Retry-After S once); ``cut-M`` (reset for the
    first M hits); ``torn-M`` (a body cut short for the first M hits); ``captcha-M`` (a 200 that is no answer); ``gone``
    (404); ``slow-S`` (S seconds late); ``asks-X`` (503 with a Retry-After beyond reason, once); ``broken`` (500 for
    ever); ``down`` (503 during the outage). ``/outage?seconds=S`` begins an outage of
    the pages under ``down``; ``/hits`` is the log.
    """

    def __init__(self) -> None:
        self.hits: list[tuple[float, str]] = []
        self.counts: Counter[str] = Counter()
        self.down_until = 0.0

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/hits", self.log)
        app.router.add_get("/outage", self.outage)
        app.router.add_get("/{way}/{name:.+}", self.page)
        return app

    async def log(self, request: web.Request) -> web.Response:
        return web.json_response(self.hits)

    async def outage(self, request: web.Request) -> web.Response:
        self.down_until = time.time() + float(request.query["seconds"])
        return web.Response()

    async def page(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        self.hits.append((time.time(), path))
        self.counts[path] += 1
        way, _, number = request.match_info["way"].partition("-")
        if way == "asks" and self.counts[path] == 1:
            return web.Response(status=503, headers={"Retry-After": ASKED[number]}, text="come back")
        number = number if number.isdecimal() else "0"
        if way == "slow":
            await asyncio.sleep(int(number))
        again = self.counts[path] > int(number or 0)
        if way == "down" and time.time() < self.down_until:
            return web.Response(status=503, text="down")
        if way == "gone":
            return web.Response(status=404, text="no such page")
        if way == "broken":
            return web.Response(status=500, text="a stack trace")
        if way == "flaky" and not again:
            return web.Response(status=503, text="not yet")
        if way == "later" and self.counts[path] == 1:
            return web.Response(status=429, headers={"Retry-After": number}, text="slow down")
        if way == "captcha" and not again:
            return web.Response(text="are you human?", content_type="text/html")
        if way == "cut" and not again:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if way == "torn" and not again:
            response = web.StreamResponse(headers={"Content-Length": "1000"})
            await response.prepare(request)
            await response.write(b"half")
            assert request.transport is not None
            request.transport.abort()
            return response
        return web.Response(text=f"<html><h1>{path}</h1></html>", content_type="text/html")


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
