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

VERSION = 1  # The version of all formats. A document may leave it out

ZLIB = "t8_zlib"  # The key under which compressed metadata is stored

LARGE = 1024  # Bytes from which compression is worth its time


class Document:
    """A JSON object from which a record of the kind *name* is read.

    :raises FormatError: if *content* is not an object, or is of another version.
    """

    def __init__(self, name: str, content: object) -> None:
        if not isinstance(content, Mapping):
            raise FormatError(f"a {name} is an object, not {_shown(content)}")
        if content.get("version", VERSION) != VERSION:
            found = _shown(content["version"])
            raise FormatError(f"version: this scrapy_t8 reads {name}s of version {VERSION}, not {found}", "version")
        self._name = name
        self._content = content

    def read(self, field: str, kind: str) -> Any:
        """Return the value of a field, whose *kind* is an annotation such as ``int | None``.

        :raises FormatError: if the field is missing or of another kind.
        """
        if field not in self._content:
            raise FormatError(f"{field}: a {self._name} needs this field", field)
        value = self._content[field]
        if value is None and kind.endswith(" | None"):
            return None
        json_type, words, convert = KINDS[kind.removesuffix(" | None")]
        if not isinstance(value, json_type) or isinstance(value, bool):
            raise FormatError(f"{field}: {words} is needed, not {_shown(value)}", field)
        try:
            return convert(value)
        except ValueError as error:
            raise FormatError(f"{field}: {error}", field) from None


def _time(text: str) -> datetime:
    try:
        return parse_time(text)
    except ValueError:
        raise ValueError(f"a time in ISO 8601 is needed, not {text!r}") from None


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError("base64 is needed") from None


def _metadata(value: dict[str, Any]) -> Any:
    if list(value) != [ZLIB]:
        return dict(value)
    try:
        return json.loads(zlib.decompress(base64.b64decode(value[ZLIB])))
    except (TypeError, ValueError, zlib.error) as error:
        raise ValueError(f"what is compressed in it cannot be read: {error}") from None


KINDS: dict[str, tuple[type, str, Callable[[Any], Any]]] = {
    "str": (str, "text", str),
    "int": (int, "a whole number", int),
    "list": (list, "a list", list),
    "bytes": (str, "text", _bytes),
    "datetime": (str, "text", _time),
    "dict[str, Any]": (dict, "an object", _metadata),
}
"""By the annotation of a field: its type in JSON, that type in words, and how the value is read."""

R = TypeVar("R", bound="JsonRecord")
OF = "of"  # The key in the metadata of a list field: the class of its records


class JsonRecord:
    """The base of dataclasses that other programs read and write as JSON objects with the same fields."""

    __slots__: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the record as a JSON object, times in ISO 8601 with their UTC offset."""
        return {name: json_value(getattr(self, name)) for name in self.__slots__}

    @classmethod
    def from_dict(cls: type[R], document: Mapping[str, Any]) -> R:
        """Return the record of a JSON object. Unknown fields are ignored; times without an offset are UTC.

        :raises FormatError: naming the field that is missing or invalid.
        """
        given, build = Document(cls.__name__, document), cast(Any, cls)
        values: dict[str, Any] = {}
        for field in fields(build):
            if OF in field.metadata:
                values[field.name] = [field.metadata[OF].from_dict(part) for part in given.read(field.name, "list")]
            else:
                values[field.name] = given.read(field.name, str(field.type))
        return cast(R, build(**values))


def json_value(value: Any) -> Any:
    """Return the value of a field as JSON has it."""
    if isinstance(value, datetime):
        return isoformat(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, list):
        return [part.to_dict() if isinstance(part, JsonRecord) else part for part in value]
    return value


def compressed(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return *metadata* in the form in which it is stored: compressed if it is large."""
    text = json.dumps(metadata)
    return {ZLIB: json_value(zlib.compress(text.encode()))} if len(text) >= LARGE else metadata


def _shown(value: object) -> str:
    return "null" if value is None else f"{type(value).__name__} {value!r:.60}"
