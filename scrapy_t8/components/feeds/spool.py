"""Keeps every item of the job, for the feeds that are written from the beginning at the end of each run."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from copy import copy
from pathlib import Path
from typing import Any

from itemadapter import ItemAdapter
from scrapy import Item

from scrapy_t8.errors import CannotLoad, CannotStore
from scrapy_t8.model.codec import Codec

from .append_file import AppendFile

LENGTH = struct.Struct(">I")
DEPTH = 50
"""How deep inside of an item parts are stored one by one."""
PLAIN: dict[type, Callable[[Any], Any]] = {int: int, float: float, bytes: bytes, str: str.__str__}
"""Turns a value of a derived class (an enumeration, a number of numpy) into one of the plain class."""


class ItemSpool:
    """Items of all runs of the job, in the order in which their pages settled.

    :param record: the record of the spool in the last commit; None at the beginning of a job.
    """

    name = "spool"

    def __init__(self, path: Path, codec: Codec, record: dict[str, Any] | None, *, power: bool) -> None:
        self._codec = codec
        self._file = AppendFile(path, record["length"] if record else None, overwrite=True, power=power)

    def encode(self, item: Any) -> tuple[bytes, CannotStore | None]:
        """Return the bytes of *item*. A part that cannot be stored becomes text, and the error names it."""
        try:
            return self._framed(self._codec.encode_item(item)), None
        except CannotStore as error:
            return self._framed(self._codec.encode_item(storable(self._codec, item))), error

    def _framed(self, data: bytes) -> bytes:
        return LENGTH.pack(len(data)) + data

    def write(self, records: list[bytes]) -> None:
        self._file.append(b"".join(records))

    def flush(self) -> None:
        self._file.flush()

    def record(self) -> dict[str, Any]:
        return {"length": self._file.length}

    def items(self) -> Iterator[Any]:
        """Yield all committed items, oldest first.

        :raises CannotLoad: for an item that is cut short, or whose class is gone.
        """
        if not self._file.length:
            return
        with self._file.path.open("rb") as file:
            while file.tell() < self._file.length:
                frame = file.read(LENGTH.size)
                if len(frame) < LENGTH.size:
                    raise CannotLoad(f"{self._file.path} is cut short")
                yield self._codec.decode_item(file.read(*LENGTH.unpack(frame)))

    def close(self) -> None:
        self._file.close()


def storable(codec: Codec, value: Any, parents: tuple[int, ...] = ()) -> Any:
    """Return *value* with every part that cannot be stored replaced by a plain value, else by its text."""
    if id(value) in parents or len(parents) == DEPTH:
        return str(value)
    if _is_stored(codec, value):
        return value
    for base, to_plain in PLAIN.items():
        if isinstance(value, base):
            return to_plain(value)
    return _by_parts(codec, value, (*parents, id(value)))


def _by_parts(codec: Codec, value: Any, parents: tuple[int, ...]) -> Any:
    if isinstance(value, (list, tuple, set, frozenset)):
        return [storable(codec, part, parents) for part in value]
    if ItemAdapter.is_item(value):
        fields = {
            key if _is_stored(codec, key) else str(key): storable(codec, part, parents)
            for key, part in ItemAdapter(value).items()
        }
        item = fields if isinstance(value, dict) else _with_fields(value, fields)
        return item if _is_stored(codec, item) else fields
    return str(value)


def _with_fields(item: Any, fields: dict[str, Any]) -> Any:
    """Return a copy of *item* with other values, of its own class: feeds may filter by class."""
    if hasattr(item, "model_copy"):
        return item.model_copy(update=fields)
    same = copy(item)
    if isinstance(item, Item):
        same.update(fields)
    else:
        for name, value in fields.items():
            object.__setattr__(same, name, value)
    return same


def _is_stored(codec: Codec, value: Any) -> bool:
    try:
        codec.encode_item(value)
    except CannotStore:
        return False
    return True
