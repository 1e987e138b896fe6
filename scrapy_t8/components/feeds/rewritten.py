"""Feeds that are written from the beginning at the end of each run: where they go, and how local files are replaced."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, field
from pathlib import Path
from typing import IO, Any

from scrapy import Spider
from scrapy.extensions.feedexport import FeedSlot, FileFeedStorage
from scrapy.extensions.postprocessing import PostProcessingManager

from scrapy_t8.model.items import FeedBalance
from scrapy_t8.utils.classes import record_class
from scrapy_t8.utils.log.loggers import get_logger

from .truncate import copy, feed_errors, size

logger = get_logger(__name__)


class RecordOnly:
    """A sink of which each commit keeps the record. No item goes to it."""

    def write(self, records: list[bytes]) -> None:
        raise TypeError("only the record of this feed is kept")

    def flush(self) -> None:
        """Do nothing: nothing was written."""


@record_class(slots=True)
class RewriteTarget(RecordOnly):
    """Where a batch of a rewritten feed goes. Chosen once in a job. Its items go to the spool.

    :param base: bytes of a local file that were there before the job and stay in front of its items.
    :param path: the path of a local file.
    :param items: how many items the file had at the end of the last run; None before the first end.
    """

    name: str
    uri: str
    base: int
    format: str = ""
    path: str = ""
    items: int | None = None
    balance: FeedBalance = field(default_factory=FeedBalance)

    @classmethod
    def load(cls, name: str, record: dict[str, Any]) -> RewriteTarget:
        """Return the target of a record."""
        return cls(name, **{**record, "balance": FeedBalance.of(record)})

    def record(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if key != "name"}


class AbsentFeed(RecordOnly):
    """A feed of the job that this run does not name: its record stays."""

    def __init__(self, name: str, record: dict[str, Any]) -> None:
        self.name = name
        self._record = record

    def record(self) -> dict[str, Any]:
        return self._record


class AtomicFileStorage(FileFeedStorage):
    """Scrapy's storage for local files, by atomic replacement: a reader sees the old content or the new, never half.

    ``base`` is the length of what was there before the job, which appending (``overwrite: False``) keeps.
    """

    base = 0

    def kept_length(self) -> int:
        """Return how many bytes of the present file are to be kept."""
        return 0 if self.write_mode == "wb" else size(Path(self.path))

    def open(self, spider: Spider) -> IO[bytes]:
        path = Path(self.path)
        with feed_errors(path):
            self._target = path.resolve()
            self._new = self._target.with_name(f".{self._target.name}.t8-new")
            if path.exists() and not path.is_file():
                self._new = self._target
                return super().open(spider)  # nothing takes the place of a pipe or a device
            self._target.parent.mkdir(parents=True, exist_ok=True)
            file = self._new.open("w+b")
            file.raw.name = self.path  # type: ignore[attr-defined]  # gzip notes it in the file
            self._begin(file)
            return file

    def _begin(self, file: IO[bytes]) -> None:
        if self._target.exists():
            shutil.copymode(self._target, self._new)
        if size(self._target) < self.base:
            logger.error("The feed %s is shorter than before the job: another program has changed it", self.path)
        if self.base and self._target.exists():
            with self._target.open("rb") as old:
                copy(old, file, self.base)

    def store(self, file: IO[bytes]) -> None:
        with feed_errors(self.path):
            if self._new != self._target:
                file.flush()
                os.fsync(file.fileno())
                self._new.replace(self._target)
            file.close()


AtomicFileStorage.__name__ = FileFeedStorage.__name__  # Scrapy counts stored feeds under the name of the class


def position(slot: FeedSlot) -> int | None:
    """Return where the next item of *slot* will stand in its file; None if the file cannot be cut back there."""
    if isinstance(slot.file, PostProcessingManager) or slot.file is None or not slot.file.seekable():
        return None
    return slot.file.tell()


def take_back(slot: FeedSlot, at: int | None) -> bool:
    """Cut off what an item has left in the file of *slot* before it failed. Return whether nothing of it is there."""
    if slot.file is None or at is None:
        return False
    slot.file.seek(at)
    slot.file.truncate()
    return True
