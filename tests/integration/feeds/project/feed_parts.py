"""Items of every kind, and the parts of a project that feeds can be made of."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import attrs
import pydantic
from scrapy import Field, Item
from scrapy.exporters import CsvItemExporter, JsonLinesItemExporter, XmlItemExporter
from scrapy.extensions.feedexport import FeedExporter, ItemFilter
from scrapy.logformatter import LogFormatter


class BookItem(Item):
    id = Field()
    name = Field(serializer=str.upper)
    price = Field()
    tags = Field()


@dataclass(frozen=True)
class BookData:
    id: str
    name: str
    price: float
    tags: list[str]


@attrs.define
class BookAttrs:
    id: str
    name: str
    price: float
    tags: list[str]


class BookModel(pydantic.BaseModel):
    id: str
    name: str
    price: float
    tags: list[str]


KINDS: tuple[Any, ...] = (dict, BookItem, BookData, BookAttrs, BookModel)


def make(page: int, part: int) -> Any:
    """The item number *part* of a page."""
    kind = KINDS[(page + part) % len(KINDS)]
    return kind(
        id=f"{page}-{part}", name=f'Pátý "díl", {page}; <{part}>', price=page + part / 4, tags=["a", f"b{part}"]
    )


class Opaque:
    """What neither the codec nor JSON knows."""

    def __str__(self) -> str:
        return "opaque"


def awkward() -> Iterator[Any]:
    """The codec does not take the first two, JSON only the last."""
    yield BookItem(id="x-1", name="one", price=Opaque(), tags=[{"deep": Opaque()}])
    yield BookData(id="x-2", name="two", price=Opaque(), tags=[])
    yield {"id": "x-3", "name": "a key", "price": 1.0, "tags": {("a", "tuple"): 1}}
    yield {"id": "x-4", "name": "a good one", "price": 1.0, "tags": []}


# -- what feeds can be made of ------------------------------------------------------------------------------------


class Cheap(ItemFilter):
    """An item filter that looks into items, whatever their kind, and at an option of its feed."""

    def accepts(self, item: Any) -> bool:
        price = item["price"] if isinstance(item, (dict, Item)) else item.price
        return price < self.feed_options["limit"]


class Nothing(ItemFilter):
    def accepts(self, item: Any) -> bool:
        return False


class Quiet(LogFormatter):
    """Says nothing of each item, which costs a record even where no one reads it."""

    def scraped(self, *args: Any) -> None:
        return None


def by_shard(params: dict[str, Any], spider: Any) -> dict[str, Any]:
    return {**params, "place": f"{spider.name}-{spider.shard}"}


class Numbered(JsonLinesItemExporter):
    """Continued: its lines are independent of one another."""

    def __init__(self, file: IO[bytes], *, prefix: str = "", **kwargs: Any) -> None:
        super().__init__(file, **kwargs)
        self._prefix = prefix.encode()

    def export_item(self, item: Any) -> None:
        self.file.write(self._prefix)
        super().export_item(item)


class Titled(CsvItemExporter):
    """Continued: it writes a line for spreadsheets as soon as it is made."""

    def __init__(self, file: IO[bytes], **kwargs: Any) -> None:
        super().__init__(file, **kwargs)
        self.stream.write("sep=,\r\n")


class Framed(JsonLinesItemExporter):
    """Whole: it has a beginning and an end of its own."""

    def start_exporting(self) -> None:
        self._count = 0
        self.file.write(b"begin\n")

    def export_item(self, item: Any) -> None:
        self._count += 1
        super().export_item(item)

    def finish_exporting(self) -> None:
        self.file.write(b"end %d\n" % self._count)


class RemoteStorage:
    """A storage scheme of one's own, ``remote://name``: the remote place is a directory named ``remote``."""

    def __init__(self, uri: str, *, feed_options: dict[str, Any] | None = None) -> None:
        self._place = Path("remote", uri.removeprefix("remote://"))

    def open(self, spider: Any) -> IO[bytes]:
        return Path(f".{self._place.name}.upload").open("w+b")

    async def store(self, file: IO[bytes]) -> None:
        if os.environ.get("REMOTE") == "closed":
            raise ConnectionError("the remote place is closed")
        file.seek(0)
        self._place.parent.mkdir(exist_ok=True)
        self._place.write_bytes(file.read())
        file.close()
        Path(file.name).unlink()


class Broken(ItemFilter):
    """A filter that fails on some items."""

    def accepts(self, item: Any) -> bool:
        price = item["price"] if isinstance(item, (dict, Item)) else item.price
        if price > 20:
            raise ValueError("no price")
        return True


class TornXml(XmlItemExporter):
    """An exporter that fails half-way through some items."""

    def _export_xml_field(self, name: str, value: Any, depth: int) -> None:
        if name == "price" and value > 20:
            raise ValueError("no price")
        super()._export_xml_field(name, value, depth)


class OwnExporter(FeedExporter):
    """A feed exporter that has nothing of T8."""
