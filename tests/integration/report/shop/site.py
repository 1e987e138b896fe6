"""The shop. Writes its URL, then a line for each hit."""

from __future__ import annotations

import asyncio
import html
import json
import sys

import truth
from aiohttp import web

DELAY = 0.03


async def listing(request: web.Request) -> web.Response:
    number = int(request.match_info["number"])
    keys = truth.lists()[number]
    is_last = number == truth.LISTS - 1
    return web.json_response(
        {
            "links": {key: f"/car/{key}?list={number}" for key in keys},
            "more": [truth.UNLINKED] if number == 0 else [],
            "total": len(keys) + truth.MORE if is_last else None,
            "next": None if is_last else f"/list/{number + 1}",
        }
    )


async def car(request: web.Request) -> web.Response:
    key = request.match_info["key"]
    await asyncio.sleep(DELAY)
    if key == "gone":
        raise web.HTTPNotFound
    if key == "broken":
        raise web.HTTPInternalServerError
    if key == "empty":
        return web.Response(text="<p>sold</p>", content_type="text/html")
    price = "" if key == "buggy" else f'<b class="price">{len(key)}</b>'
    title = html.escape(truth.TITLES.get(key, key))
    return web.Response(text=f"<h1>{title}</h1>{price}", content_type="text/html")


@web.middleware
async def noted(request: web.Request, handler: web.RequestHandler) -> web.StreamResponse:  # type: ignore[type-arg]
    say(request.path)
    return await handler(request)  # type: ignore[operator,no-any-return]


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def serve() -> None:
    app = web.Application(middlewares=[noted])
    app.router.add_get("/list/{number}", listing)
    app.router.add_get("/car/{key}", car)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    say(json.dumps({"port": runner.addresses[0][1]}))
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve())
