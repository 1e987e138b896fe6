"""A feed that resumes at the last commit: JSON lines and CSV in local files."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scrapy.extensions.feedexport import FeedSlot, FileFeedStorage

from scrapy_t8.errors import FeedError
from scrapy_t8.model.items import FeedBalance
from scrapy_t8.utils.log.loggers import get_logger
from scrapy_t8.utils.text import counted

from .append_file import AppendFile
from .file_proof import GONE, LONGER, REPLACED, SHORTER, FileProof, whole_rows
from .row_encoder import RowEncoder
from .truncate import cut_back, feed_errors, size
from .undo_log import UndoLog

logger = get_logger(__name__)

JSON_LINES = {"jl", "jsonl", "jsonlines"}
REFUSED = b""
"""The record of an item that the feed does not take: it has no bytes, but is counted when its page settles."""


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
        self.balance = FeedBalance.of(record)
        self._culprits: deque[str] = deque()
        self._total, length, path = 0, None, self._path()
        self._start = 0
        if record is None:
            undo.undo()
        else:
            refuse_other_format(slot, record)
            slot.itemcount, length, self._total = record["items"], record["length"], record["total"]
            self._start = record.get("start", 0)
            undo.undo(path, length or 0, record["path"])
            device, inode = record.get("file", (0, 0))
            proof = FileProof(device, inode, length or 0, record.get("tail", ""))
            if length is not None:  # else what is there is older than the job, and will be replaced
                with feed_errors(path):
                    self._take_stock(path, proof)
        self._file = self._open(length)
        if not self._file.length:
            slot.itemcount = 0  # the file is gone or empty: it begins anew, with its header

    def write(self, records: list[bytes]) -> None:
        """Append encoded items, and begin a new batch whenever one is full."""
        if REFUSED in records:
            for _ in range(records.count(REFUSED)):
                self.balance.count_refused(self._culprits.popleft() if self._culprits else "an earlier attempt")
            records = [record for record in records if record != REFUSED]
        while records:
            if not self.slot.itemcount:
                self._start = self._undo.files.note(self._file.path, keep=self._file.length is not None)
                self._file.touch()
                self._file.append(self.rows.heading(empty=not self._file.length))
            free = max(self._limit - self.slot.itemcount, 0) if self._limit else len(records)
            part, records = records[:free], records[free:]
            self._file.append(b"".join(part))
            self.slot.itemcount += len(part)
            self._total += len(part)
            if self._limit and self.slot.itemcount >= self._limit:
                self._next_batch()

    def refuse(self, culprit: str) -> bytes:
        """Return the record of an item that *culprit* did not take."""
        self._culprits.append(culprit)
        return REFUSED

    def flush(self) -> None:
        """Make ready for a commit: everything that was written is with the kernel, or with *power* on the disk."""
        self._file.flush()
        self._undo.committing()
        # A batch that ended before the last commit is there to stay.
        self.stored += self._committed
        self._committed, self._ended = self._ended, []

    def record(self) -> dict[str, Any]:
        """Return the record from which the next run resumes."""
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
            "start": self._start,
            "file": self._file.proof()[:2],
            "tail": self._file.proof().tail,
            "balance": self.balance.to_dict(),
        }

    def finish(self) -> None:
        """Close the file, after the last commit. A file without items is made only if an empty one is wanted.

        :raises FeedError: if the file has lost something that was written.
        """
        self.stored += [*self._committed, *self._ended]
        self._committed, self._ended = [], []
        if self.slot.itemcount or (self.slot.store_empty and self.slot.batch_id == 1):
            self._file.touch()
            self._file.check_at_end()
            self.stored.append(self.slot)
        self._count_lost_batches()
        self._file.close()
        self._undo.close()

    # -- what is still there -----------------------------------------------------------------------------------------

    def _take_stock(self, path: Path, committed: FileProof) -> None:
        """Count lost rows of the current batch since the last commit, and bytes of other programs."""
        change = committed.change(path)
        if change == LONGER:
            foreign = size(path) - committed.length
            self.balance.foreign += foreign
            message = (
                "The feed %s has %d bytes more than at the last commit: another program has appended to it, and its "
                "rows stay, uncounted, so the crawl will not be complete"
            )
            logger.error(message, path, foreign)
        elif change:
            self._count_lost(path, change, committed.length)
        elif self.slot.itemcount and self._is_other_copy(path, committed):
            self._count_lost(path, REPLACED, committed.length)

    def _is_other_copy(self, path: Path, committed: FileProof) -> bool:
        """Whether a copy has taken the place of the file, and has not as many rows."""
        if not (committed.inode and self.rows.is_plain and path.is_file()) or committed.is_same_file(path):
            return False
        return self._count_rows(path)[0] != self.slot.itemcount

    def _count_lost(self, path: Path, change: str, length: int) -> None:
        left = self._rows_left(path) if change == SHORTER else 0
        lost = self.slot.itemcount - left
        self.slot.itemcount = left
        self._total -= lost
        self.balance.lost += lost
        self._start = self._start if left else size(path)
        what = {GONE: "is gone", SHORTER: f"has {length - size(path)} bytes less than at the last commit"}
        message = (
            "The feed %s %s: another program has changed it, and %d of its items are lost. If there is a copy, stop "
            "the crawl, and put feed and JOBDIR back from it; to fetch the items again, begin anew with -s "
            "T8_RESUME=fresh. Otherwise the crawl goes on without them, and will not be complete"
        )
        logger.error(message, path, what.get(change, "has another content than at the last commit"), lost)

    def _rows_left(self, path: Path) -> int:
        """Cut a row that is torn off the end. Return how many items are left."""
        if not self.rows.is_plain:
            return 0  # the rows of this exporter cannot be separated
        left, end = self._count_rows(path)
        cut_back(path, end if left else self._start)
        return left

    def _count_rows(self, path: Path) -> tuple[int, int]:
        rows, end = whole_rows(path, self._start, is_csv=self.rows.is_csv)
        return max(0, rows - (self.rows.header or b"").count(b"\n")), end

    def _count_lost_batches(self) -> None:
        """Count the items of complete batches that are gone or were changed."""
        changed = [ended for ended in self._undo.files.ended() if ended.proof.change(Path(ended.path))]
        known = sum(ended.items for ended in self._undo.files.ended())
        is_pipe = self._path().exists() and not self._path().is_file()
        unknown = 0 if is_pipe else max(0, self._total - self.slot.itemcount - known)
        self.balance.lost_batches = sum(ended.items for ended in changed) + unknown
        if changed or unknown:
            message = "Lost: %s of the feed %s, in files that are gone, were changed, or are unknown: %s"
            names = ", ".join(ended.path for ended in changed[:3]) or "their notes are gone"
            logger.error(message, counted(self.balance.lost_batches, "item", "items"), self.slot.uri_template, names)

    def _next_batch(self) -> None:
        self._file.flush()
        # As the URI names it: a job directory may move together with its feeds.
        self._undo.files.note_end(self._name(), self.slot.itemcount, self._file.proof())
        self._file.close()
        self._ended.append(self.slot)
        self.slot = self._following(self.slot)
        self._file = self._open(None)

    def _open(self, length: int | None) -> AppendFile:
        return AppendFile(self._path(), length, overwrite=self._overwrite, power=self._power, undo=self._undo)

    def _path(self) -> Path:
        return Path(self._name()).absolute()

    def _name(self) -> str:
        assert isinstance(self.slot.storage, FileFeedStorage)
        return self.slot.storage.path


def refuse_other_format(slot: FeedSlot, record: dict[str, Any]) -> None:
    """Refuse to append rows of another format than those of the last run.

    :raises FeedError: naming both formats.
    """
    old, new = record["format"], slot.format
    if record["total"] and old != new and not {old, new} <= JSON_LINES:
        raise FeedError(
            f"this job has written {record['total']} items to the feed {slot.uri} in the format {old}, which cannot be "
            f"followed by {new}. Nothing was changed. Go on with the format {old}; or name another file; or give the "
            "job up and begin a new one, with -s T8_RESUME=fresh"
        )
