"""Reading JSON documents of other programs, field by field, with errors that name the field."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from scrapy_t8.errors import FormatError

VERSION = 1
"""Of all formats. A document need not tell it."""

ZLIB = "t8_zlib"
"""The key of metadata that is stored compressed."""

NAMES = {str: "text", int: "a whole number", dict: "an object", list: "a list"}


class Document:
    """A JSON object that is to become a record of the kind *name*.

    :raises FormatError: for what is no object, or of another version; so does every method, naming the field.
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
        if field not in self._content:
            raise FormatError(f"{field}: a {self._name} needs this field", field)
        return self._content[field]

    def typed(self, field: str, wanted: type) -> Any:
        value = self.get(field)
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise FormatError(f"{field}: {NAMES[wanted]} is needed, not {_kind(value)}", field)
        return value

    def optional(self, field: str, wanted: type) -> Any:
        """The same, where null stands for nothing."""
        return None if self.get(field) is None else self.typed(field, wanted)

    def time(self, field: str) -> datetime:
        """A time in ISO 8601; one without an offset is UTC."""
        text = self.typed(field, str)
        try:
            # Before 3.11 Python knows no Z.
            time = datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith(("Z", "z")) else text)
        except ValueError:
            raise FormatError(f"{field}: a time in ISO 8601 is needed, not {text!r}", field) from None
        return time if time.tzinfo else time.replace(tzinfo=timezone.utc)

    def metadata(self, field: str = "metadata") -> dict[str, Any]:
        """An object of anything, which may be stored compressed."""
        value: dict[str, Any] = dict(self.typed(field, dict))
        if list(value) != [ZLIB]:
            return value
        try:
            unpacked: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(value[ZLIB])))
        except (TypeError, ValueError, zlib.error) as error:
            raise FormatError(f"{field}: what is compressed in it cannot be read: {error}", field) from None
        return unpacked

    def optional_time(self, field: str) -> datetime | None:
        return None if self.get(field) is None else self.time(field)


def moment(seconds: float) -> datetime:
    """Unix seconds as a time in UTC."""
    return datetime.fromtimestamp(seconds, timezone.utc)


def told(time: datetime) -> str:
    """*time* in ISO 8601, with its UTC offset."""
    return (time if time.tzinfo else time.replace(tzinfo=timezone.utc)).isoformat()


def _kind(value: object) -> str:
    return "null" if value is None else f"{type(value).__name__} {value!r:.60}"
