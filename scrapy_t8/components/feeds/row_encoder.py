"""Encodes each item as the bytes that it adds to a feed file, with Scrapy's own exporters."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

from scrapy.exporters import BaseItemExporter, CsvItemExporter, JsonLinesItemExporter

APPENDABLE = (JsonLinesItemExporter, CsvItemExporter)


def can_be_appended(exporter: type[BaseItemExporter]) -> bool:
    """Whether files of this exporter are the plain sequence of their items, so that they can be cut and appended to."""
    if not issubclass(exporter, APPENDABLE):
        return False
    known = {getattr(cls, name) for cls in APPENDABLE for name in ("start_exporting", "finish_exporting")}
    return exporter.start_exporting in known and exporter.finish_exporting in known


class RowEncoder:
    """Encodes the items of one feed, and the header of its files.

    :param build: makes the exporter for a file, with keyword arguments that override those of the feed.
    :param header: the header that this job has written already.
    :param fields: the fields that the header was made for.
    """

    def __init__(self, build: Callable[..., BaseItemExporter], header: bytes | None = None, fields: Any = None) -> None:
        self._build = build
        self._target = _Target()
        self._exporter = build(self._target)
        self.header = header
        self.fields = fields
        self.is_csv = isinstance(self._exporter, CsvItemExporter)
        encoded = "\n".encode(self._exporter.encoding or "utf-8", "replace")
        self.is_plain = type(self._exporter) in APPENDABLE and encoded.endswith(b"\n")
        """Whether each item is one row, as Scrapy's own exporters write them."""
        if not isinstance(self._exporter, CsvItemExporter):
            self.header = self._target.take()
        elif header is not None:
            # A target of its own: an exporter that is deleted closes its target.
            self._target = _Target()
            self._exporter = self._without_header(self._target, fields)

    @property
    def exporter(self) -> str:
        """The name of the exporter's class."""
        return type(self._exporter).__qualname__

    def encode(self, item: Any) -> bytes:
        """Return the bytes of *item*, without any header."""
        if self.header is None:
            return self._first(item)
        return self._row(item)

    def heading(self, *, empty: bool) -> bytes:
        """Return the header before the first row: without a byte order mark in a file that is not *empty*."""
        header = self.header or b""
        return header if empty else header.removeprefix("".encode(self._exporter.encoding or "utf-8"))

    def _row(self, item: Any) -> bytes:
        try:
            self._exporter.export_item(item)
        except BaseException:
            self._target.take()
            raise
        return self._target.take()

    def _first(self, item: Any) -> bytes:
        """Encode the first item, which decides on the CSV header: what comes out before the row itself."""
        try:
            self._exporter.export_item(item)
        finally:
            # An item that cannot be encoded has no row, but has decided on the fields.
            self.header = whole = self._target.take()
            self.fields = _plain(self._exporter.fields_to_export)
        target = _Target()
        exporter = self._without_header(target, self.fields)
        exporter.export_item(item)
        row = target.take()
        self.header = whole[: len(whole) - len(row)]
        return row

    def _without_header(self, target: _Target, fields: Any) -> BaseItemExporter:
        target.begun = True
        overrides = {} if fields is None else {"fields_to_export": fields}
        exporter = self._build(target, include_headers_line=False, **overrides)
        target.take()  # what a subclass writes in its constructor belongs to the header
        return exporter


def _plain(fields: Any) -> Any:
    """Return the fields to export in a form that can be stored."""
    return fields if fields is None else dict(fields) if isinstance(fields, Mapping) else list(fields)


class _Target(io.BytesIO):
    """The file of an exporter: keeps what was written until it is taken."""

    begun = False

    def take(self) -> bytes:
        data = self.getvalue()
        self.seek(0)
        self.truncate()
        return data

    def tell(self) -> int:
        # A text stream writes a byte order mark at position 0 only.
        return int(self.begun)
