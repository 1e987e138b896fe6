"""The spider of a plan, and everything that a plan can plug into its project."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

from scrapy import Request, Spider, signals
from scrapy.dupefilters import RFPDupeFilter
from scrapy.exceptions import CloseSpider, DropItem, IgnoreRequest, NotConfigured
from scrapy.exporters import CsvItemExporter, JsonItemExporter, JsonLinesItemExporter, XmlItemExporter

from tests.support.probe import SITE, may_end

PLAN: dict[str, Any] = json.loads(Path(os.environ["PLAN"]).read_text()) if "PLAN" in os.environ else {}
HAZARDS: set[str] = set(PLAN.get("hazards", ()))
EXPORTERS = {
    "jsonlines": JsonLinesItemExporter,
    "json": JsonItemExporter,
    "csv": CsvItemExporter,
    "xml": XmlItemExporter,
}


def settings_of() -> dict[str, Any]:
    """Return the settings of the plan."""
    here = __name__
    form = PLAN["feed_format"]
    feed: dict[str, Any] = {"format": form, "overwrite": False, "fields": ["number"]}
    if "filter-raises" in HAZARDS:
        feed["item_filter"] = f"{here}.RaisingFilter"
    settings: dict[str, Any] = {
        "CONCURRENT_REQUESTS": PLAN["concurrency"],
        "FEEDS": {"items": feed},
        "ITEM_PIPELINES": {f"{here}.Pipeline": 100},
        "DOWNLOADER_MIDDLEWARES": {f"{here}.Downloads": 560},
        "SPIDER_MIDDLEWARES": {f"{here}.Outputs": 560},
        "EXTENSIONS": {f"{here}.Extension": 0, "tests.support.probe.StatsFile": 900},
    }
    if "exporter-raises" in HAZARDS:
        settings["FEED_EXPORTERS"] = {form: f"{here}.RaisingExporter"}
    if "two-feeds" in HAZARDS:
        settings["FEEDS"]["copy.csv"] = {"format": "csv", "overwrite": False}
    if "no-storage" in HAZARDS:
        settings["FEED_STORAGES"] = {"away": f"{here}.AwayStorage"}
        settings["FEEDS"]["away://items"] = {"format": "jsonlines"}
    if "own-dupefilter" in HAZARDS:
        settings["DUPEFILTER_CLASS"] = f"{here}.OwnDupeFilter"
    return settings


def strikes(hazard: str, request: Any) -> bool:
    """Whether a hazard of the plan strikes at the page of this request."""
    return hazard in HAZARDS and name_of(request.url) == PLAN["victim"]


def name_of(url: str) -> str:
    return url.removeprefix(SITE).lstrip("/").partition("?")[0].removeprefix("moved-")


class TaggedRequest(Request):
    """A request with an attribute of its own."""

    attributes = (*Request.attributes, "tag")

    def __init__(self, *args: Any, tag: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tag = tag


class PlannedSpider(Spider):
    name = "planned"

    async def start(self) -> AsyncIterator[Any]:
        for number in PLAN["start_items"]:
            yield {"number": number, "start": True}
        for name, way in PLAN["start"]:
            yield self.to(name, way, {}, {})

    def to(self, name: str, way: str, shared: dict[str, int], basket: dict[str, Any]) -> Request:
        """Return a request for a page, made in a way that the plan names."""
        url = f"{SITE}/{name}"
        match way:
            case "named":
                return Request(url)
            case "lambda":
                return Request(url, lambda response: self.page(response))
            case "coroutine":
                return Request(url, self.coroutine)
            case "generator":
                return Request(url, self.generator)
            case "errback":
                return Request(url, self.page, errback=self.failed)
            case "subclass":
                return TaggedRequest(url, self.tagged, tag=name)
            case "shared":
                shared["links"] = shared.get("links", 0) + 1
                return Request(url, self.sharing, meta={"shared": shared})
            case "cb_kwargs":
                return Request(url, self.keyed, cb_kwargs={"key": (name, {"deep": [1, (2, name)]})})
            case "renewed":
                meta, token = {"of": {"name": name, "at": datetime.now().isoformat()}}, token_hex(8)
                return Request(url, self.renewed, meta=meta, cb_kwargs={"token": token}, dont_filter=True)
            case "basket":
                return Request(url, self.filling, meta={"of": (name, basket)})
            case "priority":
                return Request(url, self.page, priority=int(name))
        return Request(url, self.page)

    def parse(self, response: Any) -> Iterator[Any]:
        return self.page(response)

    def page(self, response: Any) -> Iterator[Any]:
        """Yield the items and the links of a page."""
        may_end("tick")
        if strikes("raises", response):
            raise ValueError("of a callback")
        if strikes("cancelled", response):
            raise asyncio.CancelledError
        self.close_once(response)
        found = json.loads(response.text)
        for number in found["items"]:
            yield {"number": number, "page": found["name"]}
        if strikes("swallow", response):
            raise KeyError("swallowed")
        shared: dict[str, int] = {}
        basket = {"missing": [name for name, way in found["links"] if way == "basket"], "items": []}
        for name, way in found["links"]:
            yield self.to(name, way, shared, basket)
        if strikes("raises-late", response):
            raise ValueError("of a callback, late")

    def close_once(self, response: Any) -> None:
        """Close the spider the first time that it comes to the victim."""
        mark = Path("closed-once")
        if strikes("close-spider", response) and not mark.exists():
            mark.touch()
            raise CloseSpider("enough")

    async def coroutine(self, response: Any) -> list[Any]:
        await asyncio.sleep(0)
        return list(self.page(response))

    async def generator(self, response: Any) -> AsyncIterator[Any]:
        for output in self.page(response):
            await asyncio.sleep(0)
            yield output

    def tagged(self, response: Any) -> Iterator[Any]:
        assert response.request.tag == name_of(response.url), "the request has lost its tag"
        return self.page(response)

    def sharing(self, response: Any) -> Iterator[Any]:
        assert response.meta["shared"]["links"] > 0
        return self.page(response)

    def keyed(self, response: Any, key: Any) -> Iterator[Any]:
        name = name_of(response.url)
        assert key == (name, {"deep": [1, (2, name)]}), f"the key has changed: {key!r}"
        return self.page(response)

    def renewed(self, response: Any, token: str) -> Iterator[Any]:
        assert response.meta["of"]["name"] == name_of(response.url)
        return self.page(response)

    def filling(self, response: Any) -> Iterator[Any]:
        name, basket = response.meta["of"]
        for output in self.page(response):
            if isinstance(output, Request):
                yield output
            else:
                basket["items"].append(output)
        basket["missing"].remove(name)
        if not basket["missing"]:
            yield from basket["items"]

    def failed(self, failure: Any) -> None:
        """Looks at a failure, and does nothing about it."""


class Pipeline:
    """Drops what the plan drops, and fails where the plan has it fail."""

    async def process_item(self, item: Any) -> Any:
        may_end("tick")
        number = item["number"]
        if "slow" in HAZARDS:
            await asyncio.sleep(0.01)
        if number in PLAN["dropped_items"]:
            raise DropItem("not wanted")
        if item.get("start") and "start-item-raises" in HAZARDS:
            raise ValueError("of a pipeline, for an item of start()")
        if number == PLAN["victim_item"]:
            if "pipeline-raises" in HAZARDS:
                raise ValueError("of a pipeline")
            if "pipeline-cancelled" in HAZARDS:
                raise asyncio.CancelledError
            if "no-serializer" in HAZARDS and PLAN["feed_format"] in ("json", "jsonlines"):
                return {**item, "number": object()}
        return item


class Downloads:
    """What a downloader middleware of a project does to requests and responses."""

    def __init__(self, crawler: Any) -> None:
        self.crawler = crawler
        self.token = False
        self.held: list[Request] = []

    @classmethod
    def from_crawler(cls, crawler: Any) -> Downloads:
        return cls(crawler)

    def process_request(self, request: Request) -> Any:
        if strikes("ignore-request", request):
            raise IgnoreRequest("not wanted by the project")
        if "token" in HAZARDS and not self.token and not request.url.endswith("/token"):
            return self.token_request(request)
        if "rewrite" in HAZARDS and "?" not in request.url and not request.url.endswith("/token"):
            return request.replace(url=f"{request.url}?proxied", dont_filter=True)
        return None

    def token_request(self, request: Request) -> Request:
        """Return a request for a token, with the request that needs it on board."""
        return Request(f"{SITE}/token", priority=1000, dont_filter=True, meta={"original": request})

    def process_response(self, request: Request, response: Any) -> Any:
        if request.url.endswith("/token"):
            self.token = True
            return request.meta["original"].replace(dont_filter=True)
        if strikes("ignore-response", request):
            raise IgnoreRequest("not wanted by the project")
        if "replace" in HAZARDS:
            return response.replace(request=request.replace(meta={**request.meta, "seen": True}))
        return response


class Outputs:
    """What a spider middleware of a project does to the way of a page."""

    def process_spider_input(self, response: Any) -> None:
        if strikes("input-raises", response):
            raise ValueError("of a spider middleware")

    def process_spider_exception(self, response: Any, exception: Exception) -> Any:
        return [] if "swallow" in HAZARDS and isinstance(exception, KeyError) else None


class Extension:
    """Counts items, and may fail at it."""

    @classmethod
    def from_crawler(cls, crawler: Any) -> Extension:
        extension = cls()
        crawler.signals.connect(extension.item_scraped, signals.item_scraped)
        return extension

    def item_scraped(self, item: Any) -> None:
        if "extension-raises" in HAZARDS:
            raise ValueError("of an extension")


class OwnDupeFilter(RFPDupeFilter):
    """A duplicate filter of the project's own, which does what Scrapy's does."""


class RaisingFilter:
    """A filter of a feed that fails at one item."""

    def __init__(self, feed_options: Any) -> None:
        pass

    def accepts(self, item: Any) -> bool:
        if item["number"] == PLAN["victim_item"]:
            raise ValueError("of an item filter")
        return True


class RaisingExporter(EXPORTERS[PLAN.get("feed_format", "json")]):  # type: ignore[misc]
    """An exporter that fails at one item."""

    def export_item(self, item: Any) -> None:
        if item["number"] == PLAN["victim_item"]:
            raise ValueError("of an exporter")
        super().export_item(item)


class AwayStorage:
    """A feed storage that cannot be made."""

    def __init__(self, uri: str, *, feed_options: Any = None) -> None:
        raise NotConfigured("what it needs is not installed")
