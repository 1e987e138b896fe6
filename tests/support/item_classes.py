"""Item and request classes for the codec: it rebuilds only what can be found by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

import attrs
from pydantic import BaseModel
from scrapy import Field, Item, Request, Spider


class PlainItem(Item):
    name = Field()
    parts = Field()


class Colour(Enum):
    RED = 1


class Point(NamedTuple):
    x: int
    y: Any


@dataclass
class DataItem:
    name: str
    parts: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.name == "refused":
            raise ValueError("not run again when an item is rebuilt")


@attrs.define
class AttrsItem:
    name: str
    parts: Any = None


class ModelItem(BaseModel):
    name: str
    parts: Any = None


class PostRequest(Request):
    """A subclass with other defaults."""

    attributes = (*Request.attributes, "tag")

    def __init__(self, *args: Any, tag: str = "", **kwargs: Any) -> None:
        kwargs.setdefault("method", "POST")
        super().__init__(*args, **kwargs)
        self.tag = tag


class SampleSpider(Spider):
    name = "sample"

    def parse(self, response: Any, **kwargs: Any) -> None: ...

    def detail(self, response: Any) -> None: ...

    def failed(self, failure: Any) -> None: ...

    def __private(self, response: Any) -> None: ...

    alias = detail

    def private(self) -> Any:
        return self.__private
