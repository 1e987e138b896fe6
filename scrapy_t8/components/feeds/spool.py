"""Keeps every item of the job, for the feeds that are rewritten at the end of each run."""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Callable, Iterator
from copy import copy
from pathlib import Path
from typing import Any

from itemadapter import ItemAdapter
from scrapy import Item

from scrapy_t8.errors import CannotStore
from scrapy_t8.model.codec import Codec, is_intact
from scrapy_t8.model.items import FeedBalance
from scrapy_t8.utils.log.loggers import get_logger
from scrapy_t8.utils.text import counted

from .append_file import AppendFile
from .file_proof import GONE, SHORTER, FileProof
from .truncate import feed_errors, size

logger = get_logger(__name__)

ADVICE = (
    "To have them fetched anew, begin anew with -s T8_RESUME=fresh. Else the feeds are written without them, and the "
    "crawl will not be complete"
)
LENGTH = struct.Struct(">I")
VERSIONS = re.compile(rb"[\x01\x02]")
"""The first byte of an item, after its length."""
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
        self.balance = FeedBalance.of(record)
        self._count: int | None = record.get("items") if record else 0
        self._gaps: list[list[int]] = record.get("gaps", []) if record else []
        """How many items are gone, and how many were left before them: the number of an item does not change."""
        length = record["length"] if record else None
        if length:
            with feed_errors(path):
                length = self._take_stock(path, FileProof(0, 0, length, ""))
        self._file = AppendFile(path, length, overwrite=True, power=power)

    def _take_stock(self, path: Path, committed: FileProof) -> int:
        """Count the items that are gone from the end of the file. Return the length from which to go on."""
        change = committed.change(path)
        if change not in (GONE, SHORTER):
            return committed.length
        frames = list(frames_of(path, size(path), self._count))
        end = frames[-1][1].stop if frames else 0
        lost = max(0, (self._count or 0) - len(frames))
        self.balance.lost += lost
        self._count = len(frames)
        self._gaps = [*self._gaps, [len(frames), lost]]
        items = counted(lost, "item", "items")
        message = "%s %s. Lost: %s of the feeds that are written at the end of each run. %s"
        logger.error(message, path, "is gone" if change == GONE else "is cut short", items, ADVICE)
        return end

    def encode(self, item: Any) -> tuple[bytes, CannotStore | None]:
        """Return the bytes of *item*. A part that cannot be stored becomes text, and the error names it."""
        try:
            return self._framed(self._codec.encode_item(item)), None
        except CannotStore as error:
            self.balance.altered += 1
            return self._framed(self._codec.encode_item(storable(self._codec, item))), error

    def _framed(self, data: bytes) -> bytes:
        return LENGTH.pack(len(data)) + data

    def write(self, records: list[bytes]) -> None:
        self._file.append(b"".join(records))
        self._count = None if self._count is None else self._count + len(records)

    def flush(self) -> None:
        self._file.flush()

    def record(self) -> dict[str, Any]:
        balance = self.balance.to_dict()
        return {"length": self._file.length, "items": self._count, "gaps": self._gaps, "balance": balance}

    def numbered(self) -> Iterator[tuple[int, Any]]:
        """Yield the number and the item of all committed items that are not damaged, oldest first.

        :raises CannotLoad: for an item whose class is gone.
        """
        length, found = self._file.length or 0, 0
        self.balance.lost_batches = 0
        if length:
            with self._file.path.open("rb") as file:
                for number, place in frames_of(self._file.path, length, self._count):
                    file.seek(place.start)
                    gone = sum(lost for left, lost in self._gaps if left <= number)
                    yield number + gone, self._codec.decode_item(file.read(place.stop - place.start))
                    found += 1
        damaged = 0 if self._count is None else max(0, self._count - found)
        if damaged:
            self.balance.lost_batches = damaged
            items = counted(damaged, "item", "items")
            message = "%s is damaged: %s of the feeds that are written at the end of each run cannot be read. %s"
            logger.error(message, self._file.path, items, ADVICE)

    def close(self) -> None:
        self._file.close()


def frames_of(path: Path, length: int, count: int | None) -> Iterator[tuple[int, slice]]:
    """Yield the number and the place of each item in the first *length* bytes that is not damaged.

    :param count: how many items there were. Behind a place with an unknown number of damaged items, items are
        numbered from the end.
    """
    length = min(length, size(path))
    if not length:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), length, access=mmap.ACCESS_READ) as data:
        at = number = 0
        while at < length:
            place = _frame(data, at)
            if place is None or not (is_intact(data[place]) or _is_followed(data, place)):
                break
            if is_intact(data[place]):
                yield number, place
            at, number = place.stop, number + 1
        if at < length:
            rest = list(_search(data, at + 1))
            number = number + 1 if count is None else max(number, count - len(rest))
            yield from enumerate(rest, number)


def _frame(data: mmap.mmap, at: int) -> slice | None:
    """Return where an item is whose length stands at *at*; None if it would reach beyond the end."""
    if at + LENGTH.size > len(data):
        return None
    end = at + LENGTH.size + LENGTH.unpack_from(data, at)[0]
    return slice(at + LENGTH.size, end) if end <= len(data) else None


def _is_followed(data: mmap.mmap, place: slice) -> bool:
    """Whether the end, or an item that is not damaged, follows, so that only the item itself is damaged."""
    following = _frame(data, place.stop)
    return place.stop == len(data) or (following is not None and is_intact(data[following]))


def _search(data: mmap.mmap, at: int) -> Iterator[slice]:
    """Yield the places of items that are not damaged, from *at* on, wherever they begin."""
    while (found := VERSIONS.search(data, at + LENGTH.size)) is not None:
        at = found.start() - LENGTH.size
        place = _frame(data, at)
        if place is not None and is_intact(data[place]):
            yield place
            at = place.stop
        else:
            at += 1


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
