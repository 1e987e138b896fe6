"""A feed that goes on where the last commit left it: JSON lines and CSV in local files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from scrapy.extensions.feedexport import FeedSlot, FileFeedStorage

from .append_file import AppendFile
from .row_encoder import RowEncoder
from .undo_log import UndoLog


class AppendedFeed:
    """One feed of the job: the file of its current batch, the length of that file at the last commit, its header.

    :param slot: Scrapy's slot of the feed, for its current batch.
    :param rows: encodes the items; made with the header of the last commit.
    :param undo: notes each write.
    :param following: makes the slot of the batch after a given one.
    :param record: the record of the feed in the last commit; None if this job has none yet.
    :param power: each commit waits for the disk.
    """

    def __init__(
        self,
        slot: FeedSlot,
        rows: RowEncoder,
        undo: UndoLog,
        *,
        following: Callable[[FeedSlot], FeedSlot],
        record: dict[str, Any] | None,
        power: bool,
    ) -> None:
        self.name = f"feed:{slot.uri_template}"
        self.slot = slot
        self.rows = rows
        self._undo = undo
        self._following = following
        self._power = power
        self._overwrite = bool(slot.feed_options.get("overwrite", False))
        self._limit = slot.feed_options["batch_item_count"] or 0
        self._ended: list[FeedSlot] = []
        self._committed: list[FeedSlot] = []
        self.stored: list[FeedSlot] = []
        """Batches that are complete and committed, and not announced yet."""
        length = None
        self._total = 0
        if record is not None:
            slot.itemcount, length = record["items"], record["length"]
            self._total = record["total"]
        undo.undo()
        self._file = self._open(length)
        if not self._file.length:
            slot.itemcount = 0  # the file is gone or empty: it begins anew, with its header

    def write(self, records: list[bytes]) -> None:
        """Append encoded items, and begin a new batch whenever one is full."""
        while records:
            if not self.slot.itemcount:
                self._undo.files.note(self._file.path, keep=not self._overwrite)
                self._file.touch()
                self._file.append(self.rows.heading(empty=not self._file.length))
            free = max(self._limit - self.slot.itemcount, 0) if self._limit else len(records)
            part, records = records[:free], records[free:]
            self._file.append(b"".join(part))
            self.slot.itemcount += len(part)
            self._total += len(part)
            if self._limit and self.slot.itemcount >= self._limit:
                self._next_batch()

    def flush(self) -> None:
        """Make ready for a commit: everything that was written is with the kernel, or with *power* on the disk."""
        self._file.flush()
        self._undo.committing()
        # A batch that ended before the last commit is there to stay.
        self.stored += self._committed
        self._committed, self._ended = self._ended, []

    def record(self) -> dict[str, Any]:
        """Return what the next run needs to go on from here."""
        header = self.rows.header
        return {
            "uri": self.slot.uri,
            "path": str(self._file.path),
            "batch": self.slot.batch_id,
            "items": self.slot.itemcount,
            "total": self._total,
            "format": self.slot.format,
            "length": self._file.length,
            "header": None if header is None else header.decode("latin-1"),
            "fields": self.rows.fields,
            "noted": self._undo.files.noted,
            "writes": self._undo.noted,
        }

    def finish(self) -> None:
        """Close the file, after the last commit. A file without items is made only if an empty one is wanted."""
        self.stored += [*self._committed, *self._ended]
        self._committed, self._ended = [], []
        if self.slot.itemcount or (self.slot.store_empty and self.slot.batch_id == 1):
            self._file.touch()
            self.stored.append(self.slot)
        self._file.close()
        self._undo.close()

    def _next_batch(self) -> None:
        self._file.flush()
        self._file.close()
        self._ended.append(self.slot)
        self.slot = self._following(self.slot)
        self._file = self._open(None)

    def _open(self, length: int | None) -> AppendFile:
        assert isinstance(self.slot.storage, FileFeedStorage)
        path = Path(self.slot.storage.path).absolute()
        return AppendFile(path, length, overwrite=self._overwrite, power=self._power, undo=self._undo)
