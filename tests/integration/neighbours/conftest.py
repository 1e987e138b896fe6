"""The crawls that these tests make."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.integration.crawl.compare import Lab
from tests.support.crawl import Crawl
from tests.support.pages import VALUES, Asked, CommonPages
from tests.support.site import Server

T8 = "scrapy_t8.T8Addon"


class ApiPages(CommonPages):
    """The site, and an API that fetches its pages, as Zyte API does."""

    async def extract(self, asked: Asked) -> web.StreamResponse:
        """Answer with the page that the request names. A page that fails answers with a status."""
        query = await asked.request.json()
        path = str(query["url"]).removeprefix(asked.site.url).lstrip("/")
        asked.site.counts[f"/{path}"] += 1
        page = await self.answer(asked.site, asked.request, path)
        body = base64.b64encode(page.body).decode() if isinstance(page, web.Response) else ""  # type: ignore[arg-type]
        found = {"url": query["url"], "statusCode": page.status, "httpResponseBody": body}
        headers = [{"name": "content-type", "value": "text/html"}]
        return web.json_response({**found, "httpResponseHeaders": headers})


class NeighbourLab(Lab):
    """Makes crawls of the project here, with the add-ons of neighbours."""

    def crawl(self, spider: str, *, t8: bool = True, addons: Sequence[str] = (), **values: Any) -> Crawl:
        site = self._server.site(ApiPages(), VALUES)
        chosen = {**dict.fromkeys(addons, 300), **({T8: 500} if t8 else {})}
        given = {"ADDONS": json.dumps(chosen), **({} if t8 else {"JOBDIR": ""}), **values}
        crawl = Crawl(Path(__file__).parent / "project", site, self.new_directory(), spider, **given)
        crawl.feeds = ("-O", "items.jsonl")
        return crawl


@pytest.fixture(scope="session")
def neighbours(server: Server, tmp_path_factory: pytest.TempPathFactory) -> NeighbourLab:
    """Makes the crawls of a test."""
    return NeighbourLab(tmp_path_factory.mktemp("neighbours"), server)
