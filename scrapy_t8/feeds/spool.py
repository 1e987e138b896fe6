"""Every item of the job, for the feeds that can only be written whole."""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from itemadapter import ItemAdapter
from scrapy import Spider
from scrapy.extensions.feedexport import FileFeedStorage

from ..codec import Codec
from ..errors import CannotStore
from .journal import Journal, size

LENGTH = struct.Struct(">I")


class Spool:
    """Items of all runs of the job, in the order in which their pages settled.

    :param record: what the last commit says of it; None at the beginning of a job.
    """

    name = "spool"

    def __init__(self, path: Path, codec: Codec, record: dict[str, Any] | None, *, power: bool) -> None:
        known = record or {"length": None, "targets": {}}
        self._codec = codec
        self._file = Journal(path, known["length"], overwrite=True, power=power)
        self.targets: dict[str, dict[str, Any]] = known["targets"]
        """The files that the job writes to, by feed and batch: their URIs, and how long they were before the job."""

    def encode(self, item: Any) -> tuple[bytes, CannotStore | None]:
        """The bytes of *item*. What has no stored form in it becomes text, and the error tells what that was."""
        try:
            return self._framed(self._codec.encode_item(item)), None
        except CannotStore as error:
            return self._framed(self._codec.encode_item(as_text(self._codec, item))), error

    def _framed(self, data: bytes) -> bytes:
        return LENGTH.pack(len(data)) + data

    def write(self, records: list[bytes]) -> None:
        self._file.append(b"".join(records))

    def flush(self) -> None:
        self._file.flush()

    def record(self) -> dict[str, Any]:
        return {"length": self._file.length, "targets": self.targets}

    def items(self) -> Iterator[Any]:
        """All committed items, oldest first.

        :raises CannotLoad: for an item whose class is no longer there.
        """
        if not self._file.length:
            return
        with self._file.path.open("rb") as file:
            while (position := file.tell()) < self._file.length:
                (length,) = LENGTH.unpack(file.read(LENGTH.size))
                assert position + length < self._file.length + 1
                yield self._codec.decode_item(file.read(length))

    def close(self) -> None:
        self._file.close()


def as_text(codec: Codec, value: Any) -> Any:
    """*value* with every part that cannot be stored replaced by its text."""
    try:
        codec.encode_item(value)
    except CannotStore:
        if isinstance(value, (list, tuple)):
            return [as_text(codec, part) for part in value]
        if ItemAdapter.is_item(value):
            return {key: as_text(codec, part) for key, part in ItemAdapter(value).items()}
        return str(value)
    return value


class WholeFile(FileFeedStorage):
    """Scrapy's storage for local files, by atomic replacement: a reader sees the old content or the new, never half.

    ``base`` is the length of what was there before the job, which appending (``overwrite: False``) keeps.
    """

    base = 0

    def open(self, spider: Spider) -> IO[bytes]:
        self._target = Path(self.path).resolve()
        self._target.parent.mkdir(parents=True, exist_ok=True)
        file = self._new.open("w+b")
        if self.base:
            with self._target.open("rb") as old:
                shutil.copyfileobj(_Part(old, self.base), file)
        return file

    def store(self, file: IO[bytes]) -> None:
        file.flush()
        os.fsync(file.fileno())
        file.close()
        self._new.replace(self._target)

    @property
    def _new(self) -> Path:
        return self._target.with_name(f".{self._target.name}.t8-new")


class _Part:
    def __init__(self, file: IO[bytes], length: int) -> None:
        self._file, self._left = file, length

    def read(self, count: int = -1, /) -> bytes:
        data = self._file.read(self._left if count < 0 else min(count, self._left))
        self._left -= len(data)
        return data


def base_of(uri: str, *, overwrite: bool) -> int:
    """How much of a local file stays in front of what a job appends to it."""
    return 0 if overwrite else size(Path(FileFeedStorage(uri).path))
