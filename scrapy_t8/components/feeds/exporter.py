"""Exactly-once feed export, as an extension of Scrapy's ``FeedExporter``.

JSON lines and CSV in a local file are *appended* to: items are encoded as they are scraped, written when their page
settles, and the length of the file is part of the commit. Every other feed is *rewritten* at the end of each run, by
Scrapy's own code, from a spool that holds every item of the job.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any

from scrapy import Spider, signals
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured
from scrapy.exporters import BaseItemExporter
from scrapy.extensions.feedexport import FeedExporter, FeedSlot, FileFeedStorage, apply_uri_params
from scrapy.utils.asyncio import sleep
from scrapy.utils.misc import build_from_crawler

from scrapy_t8.core.job.job import Job
from scrapy_t8.core.page import leave_page
from scrapy_t8.errors import CannotLoad, FeedError

from .appended import AppendedFeed
from .rewritten import AtomicFileStorage, RewriteTarget
from .row_encoder import RowEncoder, can_be_appended
from .spool import ItemSpool
from .undo_log import BegunFiles, UndoLog

logger = logging.getLogger(__name__)

AT_A_TIME = 200
"""Items that are written to rewritten feeds before the event loop gets its turn."""


class T8FeedExporter(FeedExporter):
    """Takes the place of Scrapy's. FEEDS, ``-o`` and ``-O`` keep their meaning, and a kill loses or doubles no item."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> T8FeedExporter:
        try:
            exporter = cls(crawler)
        except NotConfigured:
            undo_all(Job.required(crawler))
            raise
        crawler.signals.connect(exporter.open_spider, signals.spider_opened)
        exporter._job.items.on_scraped(exporter.item_scraped)
        exporter._job.at_close(exporter._finish)
        return exporter

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self._job = Job.required(crawler)
        self._appended: list[AppendedFeed] = []
        self._spool: ItemSpool | None = None
        self._targets: dict[str, RewriteTarget] = {}
        self._announcements: set[asyncio.Task[None]] = set()
        self._has_warned = False
        self._unwritten = 0
        for scheme in ("", "file"):
            if self.storages.get(scheme) is FileFeedStorage:
                self.storages[scheme] = AtomicFileStorage

    # -- opening -------------------------------------------------------------------------------------------------

    def open_spider(self, spider: Spider) -> None:
        if not self._job.works:
            return
        with self._job.guard("open a feed"):
            self._open(spider)

    def _open(self, spider: Spider) -> None:
        records = self._job.store.feeds()
        power = self._job.config.durability == "power"
        spool = self._job.state_directory / "items.spool"
        self._spool = ItemSpool(spool, self._job.codec, records.pop("spool", None), power=power)
        for name in [name for name in records if name.startswith("target:")]:
            self._targets[name] = RewriteTarget(name, **records.pop(name))
        super().open_spider(spider)
        for slot in self.slots:
            if self._is_appended(slot):
                self._open_appended(slot, records.pop(f"feed:{slot.uri_template}", None), power)
        self.slots = [slot for slot in self.slots if not self._is_appended(slot)]
        if self.slots:
            self._job.add_sink(self._spool)
        undo_others(self._job, records)
        self._job.flush()

    def _is_appended(self, slot: FeedSlot) -> bool:
        return (
            # Which items are the last of their key is not known before the end.
            self._job.config.dedup_policy != "last"
            and can_be_appended(self.exporters[slot.format])
            and type(slot.storage) is AtomicFileStorage
            and "postprocessing" not in slot.feed_options
        )

    def _open_appended(self, slot: FeedSlot, record: dict[str, Any] | None, power: bool) -> None:
        header, fields = None, None
        if record is not None:
            slot = self._make_slot(slot, record["batch"], record["uri"])
            header = None if record["header"] is None else record["header"].encode("latin-1")
            fields = record["fields"]
        rows = RowEncoder(partial(self._build_exporter, slot), header, fields)
        undo = undo_log(self._job, f"feed:{slot.uri_template}", record, power=power)
        feed = AppendedFeed(slot, rows, undo, following=self._following, record=record, power=power)
        self._appended.append(feed)
        self._job.add_sink(feed)

    def _build_exporter(self, slot: FeedSlot, file: IO[bytes], **overrides: Any) -> BaseItemExporter:
        options = slot.feed_options
        arguments = {
            "fields_to_export": options["fields"],
            "encoding": options["encoding"],
            "indent": options["indent"],
            **options["item_export_kwargs"],
            **overrides,
        }
        exporter: BaseItemExporter = build_from_crawler(self.exporters[slot.format], self.crawler, file, **arguments)
        return exporter

    def _following(self, slot: FeedSlot) -> FeedSlot:
        """Make the slot of the batch after *slot*."""
        params = self._get_uri_params(slot.spider, slot.feed_options["uri_params"], slot)
        return self._make_slot(slot, slot.batch_id + 1, apply_uri_params(slot.uri_template, params))

    def _make_slot(self, slot: FeedSlot, batch: int, uri: str) -> FeedSlot:
        """Make the slot of another batch of the feed of *slot*."""
        return super()._start_new_batch(batch, uri, slot.feed_options, slot.spider, slot.uri_template)

    def _start_new_batch(
        self, batch_id: int, uri: str, feed_options: dict[str, Any], spider: Spider, uri_template: str
    ) -> FeedSlot:
        """Make the slot of a batch. Every run of a job writes a rewritten feed to the URI that its first run chose."""
        name = f"target:{batch_id} {uri_template}"
        target = self._targets.get(name)
        uri = uri if target is None else target.uri
        slot = super()._start_new_batch(batch_id, uri, feed_options, spider, uri_template)
        if self._is_appended(slot):
            return slot
        local = slot.storage if isinstance(slot.storage, AtomicFileStorage) else None
        if target is None:
            path = str(Path(local.path).absolute()) if local else ""
            base = local.kept_length() if local else 0
            target = self._targets[name] = RewriteTarget(name, uri, base, format=slot.format, path=path)
            self._job.add_sink(target)
            self._job.flush()
        if local:
            local.base = target.base
        return slot

    # -- items ---------------------------------------------------------------------------------------------------

    def item_scraped(self, item: Any, spider: Spider | None = None) -> None:
        with self._job.guard("keep an item"):
            for feed in self._appended:
                row = self._encoded(feed, item)
                if row is not None:
                    self._job.stage(feed, row)
            if self.slots and self._spool is not None:
                self._job.stage(self._spool, self._spooled(self._spool, item))
        if any(feed.stored for feed in self._appended):
            task = asyncio.create_task(self._announce_stored())
            self._announcements.add(task)
            task.add_done_callback(self._announcements.discard)

    def _encoded(self, feed: AppendedFeed, item: Any) -> bytes | None:
        try:
            return feed.rows.encode(item) if feed.slot.filter.accepts(item) else None
        except Exception:
            self._count_refused(item, feed.slot)
            return None

    def _spooled(self, spool: ItemSpool, item: Any) -> bytes:
        data, error = spool.encode(item)
        if error is not None and not self._has_warned:
            self._has_warned = True
            message = "%s of an item is kept as text: %s. Further warnings of this kind are suppressed"
            logger.warning(message, error.where or "A part", error)
        return data

    def _count_refused(self, item: Any, slot: FeedSlot) -> None:
        # As in plain Scrapy, an item that the exporter does not take is missing from that feed; here it is counted.
        logger.exception("An item cannot be exported to %s: %r", slot.uri, item)
        self.crawler.stats.inc_value(f"feedexport/failed_items/{slot.format}")

    async def _announce_stored(self) -> None:
        """Log, count and signal the files of appended feeds that are complete."""
        leave_page()
        for feed in self._appended:
            stored, feed.stored = feed.stored, []
            for slot in stored:
                logger.info("Stored %s feed (%d items) in: %s", slot.format, slot.itemcount, slot.uri)
                self.crawler.stats.inc_value("feedexport/success_count/FileFeedStorage")
                await self.crawler.signals.send_catch_log_async(signals.feed_slot_closed, slot=slot)

    # -- the end of a run ----------------------------------------------------------------------------------------

    async def _finish(self) -> bool:
        """Close the appended feeds and write the others. False if a feed was not stored: the job is not finished."""
        self._job.flush()
        if not self._job.works or self._spool is None:
            return False
        assert self.crawler.spider is not None
        failed = self._failures()
        try:
            for feed in self._appended:
                feed.finish()
            await asyncio.gather(self._announce_stored(), *self._announcements)
            if self.slots:
                await self._rewrite(self._spool, self.crawler.spider)
            await super().close_spider(self.crawler.spider)
        except (FeedError, OSError, CannotLoad) as error:
            logger.error("A feed is not complete: %s. Its items are kept: mend that and run the command again", error)
            return False
        self._spool.close()
        return not self._unwritten and self._failures() == failed

    async def _rewrite(self, spool: ItemSpool, spider: Spider) -> None:
        superseded = self._job.store.items.superseded()
        skipped = next(superseded, None)
        for number, item in enumerate(spool.items()):
            if number == skipped:
                skipped = next(superseded, None)
                continue
            # Each slot by itself: what one of them does not take, the others may.
            self.slots = [left for slot in self.slots for left in self._written(slot, item, spider)]
            if number % AT_A_TIME == 0:
                await sleep(0)

    def _written(self, slot: FeedSlot, item: Any, spider: Spider) -> list[FeedSlot]:
        """Write *item* to *slot*. Return the slots to go on with: the next batch, or none if there is no file."""
        self.slots = [slot]
        try:
            super().item_scraped(item, spider)
        except (FeedError, OSError) as error:
            return self._give_up(slot, error)
        except Exception:
            try:
                slot.start_exporting()
            except Exception as error:
                return self._give_up(slot, error)
            self._count_refused(item, slot)
        return self.slots

    async def _close_slot(self, slot: FeedSlot, spider: Spider) -> None:
        try:
            await super()._close_slot(slot, spider)
        except Exception as error:
            self._give_up(slot, error)
            return
        target = self._targets.get(f"target:{slot.batch_id} {slot.uri_template}")
        if target is not None:
            target.items = slot.itemcount
            self._job.add_sink(target)

    def _give_up(self, slot: FeedSlot, error: Exception) -> list[FeedSlot]:
        self._unwritten += 1
        message = "The feed %s cannot be written: %r. Its items are kept: mend that and run the command again"
        logger.error(message, slot.uri, error)
        return []

    def _failures(self) -> int:
        stats = self.crawler.stats.get_stats()
        return sum(count for name, count in stats.items() if name.startswith("feedexport/failed_count/"))


# -- feeds of earlier runs that this run does not name --------------------------------------------------------------


def undo_all(job: Job) -> None:
    """Undo the uncommitted writes of all feeds: this run has no feeds at all."""
    if job.works:
        with job.guard("mend a feed"):
            undo_others(job, job.store.feeds())


def undo_others(job: Job, records: dict[str, dict[str, Any]]) -> None:
    """Undo what was written to the feeds of *records* after their last commit: no torn tail may stay."""
    for name, record in records.items():
        if name.startswith("feed:"):
            undo_log(job, name, record).undo()


def undo_log(job: Job, name: str, record: dict[str, Any] | None, *, power: bool = False) -> UndoLog:
    """Return the undo log of the feed *name*; a new one if the job has no *record* of the feed yet."""
    path = job.state_directory / f"feed-{blake2b(name.encode(), digest_size=6).hexdigest()}"
    writes, begun = path.with_suffix(".writes"), path.with_suffix(".undo")
    if record is None:
        writes.unlink(missing_ok=True)
        begun.unlink(missing_ok=True)
        return UndoLog(writes, 0, power=power, files=BegunFiles(begun, 0, power=power))
    files = BegunFiles(begun, record["noted"], power=power)
    if "writes" not in record:
        files.undo_without_writes(Path(record["path"]), record["length"])
    return UndoLog(writes, record.get("writes", 0), power=power, files=files)
