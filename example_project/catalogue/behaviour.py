"""How the site behaves besides its pages: it keeps a log, it is slow, it fails. All aiohttp middlewares."""

import asyncio
import os
import random
import time
from collections import Counter

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware


def logging_hits(path: str) -> Middleware:
    """Write a line for each request served: unix time in seconds, method, path, status.

    The line is in the file before the answer leaves. A request whose client is gone has its line too.
    """
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    @web.middleware
    async def log_hit(request: web.Request, handler: Handler) -> web.StreamResponse:
        status = 500
        try:
            response = await handler(request)
            status = response.status
            return response
        except web.HTTPException as refusal:
            status = refusal.status
            raise
        finally:
            os.write(file, f"{time.time():.6f} {request.method} {request.path_qs} {status}\n".encode())

    return log_hit


def slow(delay: float) -> Middleware:
    """Let every answer take `delay` seconds longer."""

    @web.middleware
    async def wait(request: web.Request, handler: Handler) -> web.StreamResponse:
        await asyncio.sleep(delay)
        return await handler(request)

    return wait


def failing(rate: float, seed: int) -> Middleware:
    """Answer this share of the requests, 0 to 1, with a 503.

    Drawn from the seed, the path and how often the path was asked for: the order in which requests come in
    changes nothing, and a retry is a new draw.
    """
    asked: Counter[str] = Counter()

    @web.middleware
    async def fail(request: web.Request, handler: Handler) -> web.StreamResponse:
        asked[request.path_qs] += 1
        draw = random.Random(f"{seed} {request.path_qs} {asked[request.path_qs]}").random()
        if draw < rate:
            raise web.HTTPServiceUnavailable
        return await handler(request)

    return fail
