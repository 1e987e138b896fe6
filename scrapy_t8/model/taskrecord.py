"""A task of the service as the bytes that a store keeps in the place of a request, and back."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scrapy_t8.errors import FormatError

PLAIN, PACKED = b"{", b"z"
"""How a payload begins. That of a request begins with neither."""
LARGE = 1024
"""Bytes from which on compression pays."""
WORDS = 0x9E3779B1
"""Odd, so that multiplying by it runs through all 32-bit numbers before one comes again."""
BACK = pow(WORDS, -1, 1 << 32)


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """What does not change about a task. How it fared is in its :class:`~scrapy_t8.model.records.Story`.

    :param created_at: in Unix seconds.
    """

    task_id: str
    task_type: str
    target: str
    max_retries: int
    created_at: float
    metadata: dict[str, Any]

    def dumps(self, *, compress: bool) -> bytes:
        """The bytes of it. Metadata that is not JSON must have been refused before."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
        data = text.encode("utf-8", "backslashreplace")
        return PACKED + zlib.compress(data) if compress and len(data) >= LARGE else data

    @classmethod
    def loads(cls, payload: bytes) -> TaskRecord | None:
        """The record in *payload*, or None if that is a request."""
        if payload[:1] == PACKED:
            return cls(**json.loads(zlib.decompress(payload[1:])))
        return cls(**json.loads(payload)) if payload[:1] == PLAIN else None


def task_id_of(task_type: str, entry: int) -> str:
    """The id of the task that is stored as *entry*: no two have the same."""
    return f"{task_type}_{entry * WORDS & 0xFFFFFFFF:08x}"


def entry_of(task_id: str) -> int | None:
    """The entry whose id that is, if :func:`task_id_of` made it; it may also come from elsewhere."""
    digits = task_id.rpartition("_")[2]
    try:
        return int(digits, 16) * BACK & 0xFFFFFFFF if len(digits) == 8 else None
    except ValueError:
        return None


# -- what users give ---------------------------------------------------------------------------------------------


def checked_text(name: str, value: object, *, empty: bool = False) -> str:
    """*value*, if it is text that can be stored.

    :raises FormatError: else, naming it.
    """
    if not isinstance(value, str):
        raise FormatError(f"{name}: text is needed, not {type(value).__name__} {value!r:.60}", name)
    if not value and not empty:
        raise FormatError(f"{name}: it must not be empty", name)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise FormatError(f"{name}: {value!r:.60} has half of a character in it", name) from None
    return value


def checked_number(name: str, value: object) -> int:
    """*value*, if it is a whole number of at least 0.

    :raises FormatError: else, naming it.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise FormatError(f"{name}: a whole number of at least 0 is needed, not {value!r:.60}", name)
    return value


def checked_metadata(metadata: object) -> dict[str, Any]:
    """A copy of *metadata*, if it is a JSON object.

    :raises FormatError: else, naming the part that is none.
    """
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        raise FormatError(
            f"metadata: a JSON object is needed, not {type(metadata).__name__} {metadata!r:.60}", "metadata"
        )
    try:
        copied: dict[str, Any] = _checked(metadata, "metadata")
    except RecursionError:
        raise FormatError("metadata: it is nested too deeply, or contains itself", "metadata") from None
    return copied


def _checked(value: Any, where: str) -> Any:
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        if value - value == 0:
            return value
    elif isinstance(value, (list, tuple)):
        return [_checked(part, f"{where}[{number}]") for number, part in enumerate(value)]
    elif isinstance(value, Mapping):
        return {_checked_key(key, where): _checked(part, f"{where}[{key!r}]") for key, part in value.items()}
    raise FormatError(f"{where}: JSON has no {type(value).__name__} such as {value!r:.60}", "metadata")


def _checked_key(key: object, where: str) -> str:
    if not isinstance(key, str):
        raise FormatError(f"{where}: the keys of a JSON object are text, not {key!r:.60}", "metadata")
    return key
