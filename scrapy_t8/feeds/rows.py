"""An item as the bytes that it adds to a file, by Scrapy's own exporters."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from scrapy.exporters import BaseItemExporter, CsvItemExporter, JsonLinesItemExporter

CONTINUABLE = (JsonLinesItemExporter, CsvItemExporter)


def can_be_continued(exporter: type[BaseItemExporter]) -> bool:
    """Whether a file of this exporter is the plain sequence of its items, so that it can be cut and continued."""
    if not issubclass(exporter, CONTINUABLE):
        return False
    known = {getattr(cls, name) for cls in CONTINUABLE for name in ("start_exporting", "finish_exporting")}
    return exporter.start_exporting in known and exporter.finish_exporting in known


class Rows:
    """Encodes the items of one feed, and knows the header that each of its files begins with.

    :param build: makes the exporter, given a file and keyword arguments that override the feed's own.
    :param header: the header that this job has already written, with the *fields* it was made for.
    """

    def __init__(self, build: Callable[..., BaseItemExporter], header: bytes | None = None, fields: Any = None) -> None:
        self._build = build
        self._target = _Target()
        self._exporter = build(self._target)
        self.header = header
        self.fields = fields
        if not isinstance(self._exporter, CsvItemExporter):
            self.header = b""
        elif header is not None:
            self._exporter = self._without_header(self._target, fields)

    def encode(self, item: Any) -> bytes:
        """The bytes of *item*, less any header."""
        if self.header is None:
            return self._first(item)
        return self._row(item)

    def _row(self, item: Any) -> bytes:
        try:
            self._exporter.export_item(item)
        except BaseException:
            self._target.take()
            raise
        return self._target.take()

    def _first(self, item: Any) -> bytes:
        """The first item decides on a CSV header: it is what stands before the same row written without one."""
        whole = self._row(item)
        self.fields = self._exporter.fields_to_export
        target = _Target()
        self._without_header(target, self.fields).export_item(item)
        row = target.take()
        self.header = whole[: len(whole) - len(row)]
        return row

    def _without_header(self, target: _Target, fields: Any) -> BaseItemExporter:
        target.begun = True
        if fields is None:
            return self._build(target, include_headers_line=False)
        return self._build(target, include_headers_line=False, fields_to_export=fields)


class _Target(io.RawIOBase):
    """A file to an exporter; keeps what was written until it is taken."""

    def __init__(self) -> None:
        self._written = bytearray()
        self.begun = False

    def write(self, data: Any) -> int:
        self._written += data
        return len(data)

    def take(self) -> bytes:
        data = bytes(self._written)
        self._written.clear()
        return data

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        # A text stream writes a byte order mark at position 0 only.
        return int(self.begun)
