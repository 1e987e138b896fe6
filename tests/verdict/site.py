"""The site of a plan: pages as JSON, each of which behaves as the plan says."""

from __future__ import annotations

import json
from collections import Counter

from aiohttp import web

from tests.support.site import Site

from .plan import Plan

PAD = "." * 2000
"""Makes a body long enough to be cut."""


class PlannedPages:
    """Answers by the plan, and counts what it has answered whole."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.whole: Counter[str] = Counter()
        """How often each page was answered with its whole body."""

    async def answer(self, site: Site, request: web.Request, path: str) -> web.StreamResponse:
        name = path.partition("?")[0]
        if name == "token":
            return web.json_response({"token": 1})
        moved = name.removeprefix("moved-")
        page = self._plan.pages[moved]
        early = site.counts[f"/{path}"] == 1
        match page.behaviour:
            case "gone":
                return web.Response(status=404)
            case "forbidden":
                return web.Response(status=410)
            case "down":
                return web.Response(status=503)
            case "circle":
                raise web.HTTPFound(f"{site.url}/{name}")
            case "flaky" if early:
                return web.Response(status=503)
            case "moved" if moved == name:
                raise web.HTTPFound(f"{site.url}/moved-{name}")
            case "cut" | "dropped" if early:
                return await _cut(request, self._body(moved), whole=page.behaviour == "cut")
        self.whole[moved] += 1
        return web.Response(body=self._body(moved), content_type="application/json")

    def _body(self, name: str) -> bytes:
        page = self._plan.pages[name]
        return json.dumps({"name": name, "items": page.items, "links": page.links, "pad": PAD}).encode()


async def _cut(request: web.Request, body: bytes, *, whole: bool) -> web.StreamResponse:
    """Close the connection after half of the body, or before anything is answered."""
    response = web.StreamResponse(headers={"Content-Length": str(len(body))})
    if whole:
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
    assert request.transport is not None
    request.transport.close()
    return response
