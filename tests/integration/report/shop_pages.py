"""The pages of the shop: lists of cars, and the cars, of which some are wrong in a way that is known."""

from __future__ import annotations

import asyncio
import html

from aiohttp import web

from tests.support.site import Site

from . import truth

DELAY = 0.03


class ShopPages:
    """``list/N`` and ``car/KEY?list=N``."""

    async def answer(self, site: Site, request: web.Request, path: str) -> web.StreamResponse:
        kind, _, rest = path.partition("/")
        return listing(site, int(rest)) if kind == "list" else await car(rest.partition("?")[0])


def listing(site: Site, number: int) -> web.Response:
    keys = truth.lists()[number]
    is_last = number == truth.LISTS - 1
    return web.json_response(
        {
            "links": {key: f"{site.url}/car/{key}?list={number}" for key in keys},
            "more": [truth.UNLINKED] if number == 0 else [],
            "total": len(keys) + truth.MORE if is_last else None,
            "next": None if is_last else f"{site.url}/list/{number + 1}",
        }
    )


async def car(key: str) -> web.Response:
    await asyncio.sleep(DELAY)
    if key == "gone":
        return web.Response(status=404)
    if key == "broken":
        return web.Response(status=500)
    if key == "empty":
        return web.Response(text="<p>sold</p>", content_type="text/html")
    price = "" if key == "buggy" else f'<b class="price">{len(key)}</b>'
    title = html.escape(truth.TITLES.get(key, key))
    return web.Response(text=f"<h1>{title}</h1>{price}", content_type="text/html")
