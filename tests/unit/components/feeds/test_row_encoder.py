"""Items as rows: together they are the file that Scrapy's exporter would have written."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from scrapy.exporters import (
    BaseItemExporter,
    CsvItemExporter,
    JsonItemExporter,
    JsonLinesItemExporter,
    PickleItemExporter,
    XmlItemExporter,
)
from scrapy.item import Field, Item

from scrapy_t8.components.feeds.row_encoder import RowEncoder, can_be_appended


class Book(Item):
    name = Field(serializer=str.upper)
    price = Field()


ITEMS = [
    {"name": "Ž", "price": 1, "tags": ["a", "b"]},
    Book(name='x "y", z'),
    {"price": 2.5, "other": None},
    {"name": "two\nlines"},
]


class Titled(CsvItemExporter):
    def __init__(self, file: Any, **kwargs: Any) -> None:
        super().__init__(file, **kwargs)
        self.stream.write("sep=,\r\n")


class Announced(JsonLinesItemExporter):
    def __init__(self, file: Any, **kwargs: Any) -> None:
        super().__init__(file, **kwargs)
        file.write(b"# items\n")


EXPORTERS: list[tuple[type[BaseItemExporter], dict[str, Any]]] = [
    (JsonLinesItemExporter, {}),
    (JsonLinesItemExporter, {"encoding": "utf-8", "fields_to_export": ["price"]}),
    (JsonLinesItemExporter, {"encoding": "utf-8-sig"}),
    (CsvItemExporter, {}),
    (CsvItemExporter, {"fields_to_export": ["price", "name"]}),
    (CsvItemExporter, {"fields_to_export": {"price": "Cena", "name": "Název"}, "encoding": "utf-8-sig"}),
    (CsvItemExporter, {"include_headers_line": False}),
    (CsvItemExporter, {"encoding": "utf-16", "delimiter": ";", "join_multivalued": "|"}),
    (CsvItemExporter, {"encoding": "ascii", "errors": "xmlcharrefreplace"}),
    (Titled, {"encoding": "utf-8-sig"}),
    (Announced, {}),
]


def builder(exporter: type[BaseItemExporter], options: dict[str, Any]) -> Callable[..., BaseItemExporter]:
    def build(file: Any, **overrides: Any) -> BaseItemExporter:
        return exporter(file, **{**options, **overrides})

    return build


def written(exporter: type[BaseItemExporter], options: dict[str, Any], items: list[Any], before: bytes = b"") -> bytes:
    """What Scrapy leaves in a file, less what was there *before*."""
    file = io.BytesIO(before)
    file.seek(len(before))
    made = exporter(file, **options)
    made.start_exporting()
    for item in items:
        made.export_item(item)
    made.finish_exporting()
    return file.getvalue()[len(before) :]


@pytest.mark.parametrize(("exporter", "options"), EXPORTERS)
class TestRows:
    def test_rows_are_what_scrapy_writes(self, exporter: type[BaseItemExporter], options: dict[str, Any]) -> None:
        rows = RowEncoder(builder(exporter, options))
        encoded = b"".join(map(rows.encode, ITEMS))
        assert rows.heading(empty=True) + encoded == written(exporter, options, ITEMS)

    def test_go_on_in_another_run(self, exporter: type[BaseItemExporter], options: dict[str, Any]) -> None:
        for first in range(1, len(ITEMS)):
            rows = RowEncoder(builder(exporter, options))
            encoded = [rows.encode(item) for item in ITEMS[:first]]
            again = RowEncoder(builder(exporter, options), rows.header, rows.fields)
            encoded += [again.encode(item) for item in ITEMS[first:]]
            assert again.heading(empty=True) + b"".join(encoded) == written(exporter, options, ITEMS)

    def test_after_what_is_there_have_no_byte_order_mark(
        self, exporter: type[BaseItemExporter], options: dict[str, Any]
    ) -> None:
        rows = RowEncoder(builder(exporter, options))
        encoded = b"".join(map(rows.encode, ITEMS))
        assert rows.heading(empty=False) + encoded == written(exporter, options, ITEMS, before=b"old\n")


class Fussy(Book):
    sized = Field(serializer=len)


@pytest.mark.parametrize("bad", [0, 1, 2])
@pytest.mark.parametrize("exporter", [CsvItemExporter, JsonLinesItemExporter])
def test_an_item_that_cannot_be_written_leaves_nothing_but_the_header(
    exporter: type[BaseItemExporter], bad: int
) -> None:
    items = [Fussy(name="a", sized="b"), Fussy(name="c", sized="d"), Fussy(name="e", sized="f")]
    items[bad]["sized"] = 5
    rows = RowEncoder(builder(exporter, {}))
    encoded = b""
    for number, item in enumerate(items):
        if number == bad:
            with pytest.raises(TypeError):
                rows.encode(item)
        else:
            encoded += rows.encode(item)
    items[bad]["sized"] = "x"
    lines = written(exporter, {}, items).splitlines(keepends=True)
    del lines[bad - len(items)]
    assert rows.heading(empty=True) + encoded == b"".join(lines)


def test_a_header_can_be_stored() -> None:
    rows = RowEncoder(builder(CsvItemExporter, {}))
    rows.encode({"a": 1, "b": 2})
    assert rows.fields == ["a", "b"]
    assert rows.header == b"a,b\r\n"


class Framed(JsonLinesItemExporter):
    def start_exporting(self) -> None:
        self.file.write(b"<")


class Ended(CsvItemExporter):
    def finish_exporting(self) -> None:
        self.stream.write("total")


@pytest.mark.parametrize(
    ("exporter", "expected"),
    [
        (JsonLinesItemExporter, True),
        (CsvItemExporter, True),
        (Titled, True),
        (Announced, True),
        (Framed, False),
        (Ended, False),
        (JsonItemExporter, False),
        (XmlItemExporter, False),
        (PickleItemExporter, False),
    ],
)
def test_which_exporters_can_be_appended(exporter: type[BaseItemExporter], expected: bool) -> None:
    assert can_be_appended(exporter) is expected
