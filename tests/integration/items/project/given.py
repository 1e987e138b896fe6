"""A spider whose pages and items are given to it, and a pipeline that does to an item what the item says."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs
import pydantic
import scrapy
from itemadapter import ItemAdapter
from scrapy import Request, Spider
from scrapy.exceptions import DropItem

from scrapy_t8 import ResumeValidator, RetryPage, SQLDatabase, t8_alert

FIELDS = ("id", "value", "do", "changes")


class ScrapyItem(scrapy.Item):
    id = scrapy.Field()
    value = scrapy.Field()
    do = scrapy.Field()
    changes = scrapy.Field()


@dataclasses.dataclass
class DataItem:
    id: Any = None
    value: Any = None
    do: Any = None
    changes: Any = None


@attrs.define
class AttrsItem:
    id: Any = None
    value: Any = None
    do: Any = None
    changes: Any = None


class PydanticItem(pydantic.BaseModel):
    id: Any = None
    value: Any = None
    do: Any = None
    changes: Any = None


class Priced(pydantic.BaseModel):
    """What an item should be."""

    id: int
    value: int


KINDS = {"dict": dict, "scrapy": ScrapyItem, "data": DataItem, "attrs": AttrsItem, "pydantic": PydanticItem}


class Obedient:
    """The pipeline."""

    async def process_item(self, item: Any) -> Any:
        adapter = ItemAdapter(item)
        do = adapter.get("do")
        while do == "wait":
            await asyncio.sleep(0.02)
        if do == "slow":
            await asyncio.sleep(0.3)
        if do == "drop":
            await asyncio.sleep(0.3)
            raise DropItem("it says so")
        if do == "die" and not os.path.exists("died"):
            open("died", "w").close()
            await asyncio.sleep(0.3)
            os.kill(os.getpid(), signal.SIGKILL)
        if adapter.get("value") == "12":
            adapter["value"] = 12  # as pipelines do that clean
        return item


class GivenSpider(Spider):
    name = "given"
    pages = "pages.json"
    kind = "dict"

    @classmethod
    def from_crawler(cls, crawler: Any, *args: Any, **kwargs: Any) -> Any:
        spider = super().from_crawler(crawler, *args, **kwargs)
        crawler.signals.connect(spider.heard, t8_alert)
        return spider

    def heard(self, alert: dict[str, Any]) -> None:
        with open("alerts", "a", encoding="utf-8") as file:
            file.write(alert["name"] + "\n")

    async def start(self) -> Any:
        """In the place of a page there may be the name of a file, without which no more pages come."""
        for number, items in enumerate(json.loads(Path(self.pages).read_text(encoding="utf-8"))):
            if isinstance(items, str):
                while not Path(items).exists():
                    await asyncio.sleep(0.02)
                continue
            url = f"data:application/json,{quote(json.dumps(items))}"
            yield Request(url, dont_filter=True, cb_kwargs={"number": number})

    def parse(self, response: Any, number: int) -> Iterator[Any]:
        for fields in json.loads(response.text):
            yield KINDS[self.kind](**fields)
            if fields.get("do") == "again" and not response.meta.get("retry_times"):
                raise RetryPage("not yet", delay=0.3)


class Strict(ResumeValidator):
    async def custom_validation(self, state: Any) -> dict[str, Any]:
        return {"valid": False, "seen": state.task_type}


class Shopkeeper(ResumeValidator):
    """Looks into a database of its own, also at the end of a crawl."""

    def __init__(self, state_manager: Any) -> None:
        super().__init__(state_manager, SQLDatabase("sqlite:///shop.db", {"DETAIL_COLLECTION": ("cars", "slug")}))


class Talkative(ResumeValidator):
    """Tells more than it should."""

    def custom_validation(self, state: Any) -> dict[str, Any]:
        return {"valid": True, "asked": "https://user:geh3im@shop.example/?token=geh3im", "password": "geh3im"}


def bad_key(item: Any) -> Any:
    """A key that raises an exception."""
    raise ZeroDivisionError
