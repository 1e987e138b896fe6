"""Fetches pages of the catalogue and extracts their content."""

from typing import Any

import aiohttp
from parsel import Selector

TIMEOUT = aiohttp.ClientTimeout(total=30)


class NoSuchPage(Exception):
    """The page does not exist (any more)."""


class Site:
    """The site at *base*. Use it with `async with`, in the event loop that it was made in."""

    def __init__(self, base: str) -> None:
        self._base = base.rstrip("/")

    async def __aenter__(self) -> "Site":
        self._session = aiohttp.ClientSession(timeout=TIMEOUT)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def slugs_of_page(self, number: int) -> list[str]:
        """Return the slugs of the cars on a list page. Raises NoSuchPage beyond the last page."""
        page = await self._get(f"/?page={number}")
        return [link.rpartition("/")[2] for link in page.css("li.car a::attr(href)").getall()]

    async def car(self, slug: str) -> dict[str, Any]:
        """Return the figures of a car."""
        page = await self._get(f"/cars/{slug}")
        figures = {one.attrib["itemprop"]: float(one.attrib["value"]) for one in page.css("data[itemprop]")}
        return {
            "slug": slug,
            "name": page.css("h1::text").get(""),
            "origin": page.css("[itemprop=origin]::text").get(""),
            **figures,
        }

    async def _get(self, path: str) -> Selector:
        async with self._session.get(self._base + path) as response:
            if response.status == 404:
                raise NoSuchPage(path)
            response.raise_for_status()
            return Selector(await response.text())
