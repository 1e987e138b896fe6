"""Reads JSON documents of other programs, field by field, with errors that name the field."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, TypeVar, cast

from scrapy_t8.errors import FormatError
from scrapy_t8.utils.times import isoformat, parse_time

VERSION = 1
"""The version of all formats. A document may leave it out."""

ZLIB = "t8_zlib"
"""The key under which compressed metadata is stored."""

LARGE = 1024
"""Bytes from which compression is worth its time."""

NAMES = {str: "text", int: "a whole number", dict: "an object", list: "a list"}


class Document:
    """A JSON object from which a record of the kind *name* is read.

    :raises FormatError: if *content* is not an object, or is of another version. Every method raises it for a field
        that is missing or invalid, and names the field.
    """

    def __init__(self, name: str, content: object) -> None:
        if not isinstance(content, Mapping):
            raise FormatError(f"a {name} is an object, not {_kind(content)}")
        if content.get("version", VERSION) != VERSION:
            found = _kind(content["version"])
            raise FormatError(f"version: this scrapy_t8 reads {name}s of version {VERSION}, not {found}", "version")
        self._name = name
        self._content = content

    def get(self, field: str) -> Any:
        """Return the value of a field."""
        if field not in self._content:
            raise FormatError(f"{field}: a {self._name} needs this field", field)
        return self._content[field]

    def typed(self, field: str, wanted: type) -> Any:
        """Return the value of a field that must be of the type *wanted*."""
        value = self.get(field)
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise FormatError(f"{field}: {NAMES[wanted]} is needed, not {_kind(value)}", field)
        return value

    def optional(self, field: str, wanted: type) -> Any:
        """Return the value of a field that must be of the type *wanted*, or None for null."""
        return None if self.get(field) is None else self.typed(field, wanted)

    def time(self, field: str) -> datetime:
        """Return the time of a field in ISO 8601; a time without an offset is UTC."""
        text = self.typed(field, str)
        try:
            return parse_time(text)
        except ValueError:
            raise FormatError(f"{field}: a time in ISO 8601 is needed, not {text!r}", field) from None

    def optional_time(self, field: str) -> datetime | None:
        """Return the time of a field, or None for null."""
        return None if self.get(field) is None else self.time(field)

    def metadata(self, field: str = "metadata") -> dict[str, Any]:
        """Return the metadata of a field, which may be stored compressed."""
        value: dict[str, Any] = dict(self.typed(field, dict))
        if list(value) != [ZLIB]:
            return value
        try:
            unpacked: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(value[ZLIB])))
        except (TypeError, ValueError, zlib.error) as error:
            raise FormatError(f"{field}: what is compressed in it cannot be read: {error}", field) from None
        return unpacked


R = TypeVar("R", bound="JsonRecord")
OF = "of"
"""The key in the metadata of a list field: the class of its records."""

READERS: dict[str, Callable[[Document, str], Any]] = {
    "str": lambda given, name: given.typed(name, str),
    "int": lambda given, name: given.typed(name, int),
    "str | None": lambda given, name: given.optional(name, str),
    "int | None": lambda given, name: given.optional(name, int),
    "datetime": Document.time,
    "datetime | None": Document.optional_time,
    "dict[str, Any]": Document.metadata,
}
"""How a field is read, by its annotation."""


class JsonRecord:
    """The base of dataclasses that other programs read and write as JSON objects with the same fields."""

    __slots__: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the record as a JSON object, times in ISO 8601 with their UTC offset."""
        return {name: _to_json(getattr(self, name)) for name in self.__slots__}

    @classmethod
    def from_dict(cls: type[R], document: Mapping[str, Any]) -> R:
        """Return the record of a JSON object. Unknown fields are ignored; times without an offset are UTC.

        :raises FormatError: naming the field that is missing or invalid.
        """
        given, build = Document(cls.__name__, document), cast(Any, cls)
        values: dict[str, Any] = {}
        for field in fields(build):
            if OF in field.metadata:
                values[field.name] = [field.metadata[OF].from_dict(part) for part in given.typed(field.name, list)]
            else:
                values[field.name] = READERS[str(field.type)](given, field.name)
        return cast(R, build(**values))


def _to_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return isoformat(value)
    if isinstance(value, list):
        return [part.to_dict() if isinstance(part, JsonRecord) else part for part in value]
    return value


def compressed(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return *metadata* in the form in which it is stored: compressed if it is large."""
    text = json.dumps(metadata)
    return {ZLIB: base64.b64encode(zlib.compress(text.encode())).decode()} if len(text) >= LARGE else metadata


def _kind(value: object) -> str:
    return "null" if value is None else f"{type(value).__name__} {value!r:.60}"
