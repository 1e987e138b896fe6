"""Exactly-once feed export, as an extension of Scrapy's ``FeedExporter``.

JSON lines and CSV in a local file are *continued*: items are encoded as they are scraped, written when their page
settles, and the length of the file is part of the commit. Every other feed is written *whole* at the end of each run,
by Scrapy's own code, from a spool that holds every item of the job.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from scrapy import Spider, signals
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured
from scrapy.exporters import BaseItemExporter
from scrapy.extensions.feedexport import FeedExporter, FeedSlot, FileFeedStorage, apply_uri_params
from scrapy.utils.asyncio import sleep
from scrapy.utils.misc import build_from_crawler

from scrapy_t8.core.job.job import Job
from scrapy_t8.core.page import leave_page
from scrapy_t8.errors import CannotLoad

from .appended import AppendedFeed
from .rewritten import AtomicFileStorage, RewriteTarget
from .row_encoder import RowEncoder, can_be_continued
from .spool import ItemSpool
from .truncate import cut_back
from .undo_log import UndoLog
from .write_log import WriteLog

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)

AT_A_TIME = 200
"""Items written to whole feeds before the event loop gets its turn."""


class T8FeedExporter(FeedExporter):
    """In the place of Scrapy's. FEEDS, ``-o`` and ``-O`` mean what they always did; a stop does not matter to them."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        try:
            exporter = cls(crawler)
        except NotConfigured:
            take_back_all(Job.required(crawler))
            raise
        crawler.signals.connect(exporter.open_spider, signals.spider_opened)
        exporter._job.items.on_scraped(exporter.item_scraped)
        exporter._job.at_close(exporter._finish)
        return exporter

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self._job = Job.required(crawler)
        self._continued: list[AppendedFeed] = []
        self._spool: ItemSpool | None = None
        self._targets: dict[str, RewriteTarget] = {}
        self._telling: set[asyncio.Task[None]] = set()
        self._told = False
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
            if self._goes_on(slot):
                self._continue(slot, records.pop(f"feed:{slot.uri_template}", None), power)
        self.slots = [slot for slot in self.slots if not self._goes_on(slot)]
        if self.slots:
            self._job.add_sink(self._spool)
        for name, record in records.items():
            take_back(self._job, name, record)
        self._job.flush()

    def _goes_on(self, slot: FeedSlot) -> bool:
        return (
            # Which items are the last of their key is not known before the end.
            self._job.config.dedup_policy != "last"
            and can_be_continued(self.exporters[slot.format])
            and type(slot.storage) is AtomicFileStorage
            and "postprocessing" not in slot.feed_options
        )

    def _continue(self, slot: FeedSlot, record: dict[str, Any] | None, power: bool) -> None:
        header, fields, noted = None, None, 0
        if record is not None:
            slot = self._slot(slot, record["batch"], record["uri"])
            header = None if record["header"] is None else record["header"].encode("latin-1")
            fields, noted = record["fields"], record["noted"]
        rows = RowEncoder(partial(self._build_exporter, slot), header, fields)
        log, ends = (notes(self._job, f"feed:{slot.uri_template}", kind) for kind in ("undo", "reach"))
        if record is None:
            log.unlink(missing_ok=True)
            ends.unlink(missing_ok=True)
        reach = WriteLog(ends, power=power)
        undo = UndoLog(log, noted, reach, power=power)
        feed = AppendedFeed(slot, rows, self._following, undo, reach, record, power=power)
        self._continued.append(feed)
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
        params = self._get_uri_params(slot.spider, slot.feed_options["uri_params"], slot)
        return self._slot(slot, slot.batch_id + 1, apply_uri_params(slot.uri_template, params))

    def _slot(self, slot: FeedSlot, batch: int, uri: str) -> FeedSlot:
        """Another batch of the feed of *slot*."""
        return super()._start_new_batch(batch, uri, slot.feed_options, slot.spider, slot.uri_template)

    def _start_new_batch(
        self, batch_id: int, uri: str, feed_options: dict[str, Any], spider: Spider, uri_template: str
    ) -> FeedSlot:
        """A whole feed is written at the end of every run: each time to the files that its first run has chosen."""
        name = f"target:{batch_id} {uri_template}"
        target = self._targets.get(name)
        uri = uri if target is None else target.uri
        slot = super()._start_new_batch(batch_id, uri, feed_options, spider, uri_template)
        if self._goes_on(slot):
            return slot
        local = slot.storage if isinstance(slot.storage, AtomicFileStorage) else None
        if target is None:
            path = str(Path(local.path).absolute()) if local else ""
            target = self._targets[name] = RewriteTarget(name, uri, local.there() if local else 0, slot.format, path)
            self._job.add_sink(target)
            self._job.flush()
        if local:
            local.base = target.base
        return slot

    # -- items ---------------------------------------------------------------------------------------------------

    def item_scraped(self, item: Any, spider: Spider | None = None) -> None:
        for feed in self._continued:
            row = self._encoded(feed, item)
            if row is not None:
                with self._job.guard("keep an item"):
                    self._job.stage(feed, row)
        if self.slots and self._spool is not None:
            with self._job.guard("keep an item"):
                self._job.stage(self._spool, self._spooled(self._spool, item))
        if any(feed.stored for feed in self._continued):
            task = asyncio.create_task(self._tell())
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    def _encoded(self, feed: AppendedFeed, item: Any) -> bytes | None:
        try:
            return feed.rows.encode(item) if feed.slot.filter.accepts(item) else None
        except Exception:
            self._not_taken(item, feed.slot)
            return None

    def _spooled(self, spool: ItemSpool, item: Any) -> bytes:
        data, error = spool.encode(item)
        if error is not None and not self._told:
            self._told = True
            logger.warning("%s of an item is kept as text: %s. Not said again", error.where or "A part", error)
        return data

    def _not_taken(self, item: Any, slot: FeedSlot) -> None:
        # As in plain Scrapy, an item that the exporter does not take is missing from that feed; here it is counted.
        logger.exception("An item cannot be exported to %s: %r", slot.uri, item)
        self.crawler.stats.inc_value(f"feedexport/failed_items/{slot.format}")

    async def _tell(self) -> None:
        """Say which files of continued feeds are complete."""
        leave_page()
        for feed in self._continued:
            stored, feed.stored = feed.stored, []
            for slot in stored:
                logger.info("Stored %s feed (%d items) in: %s", slot.format, slot.itemcount, slot.uri)
                self.crawler.stats.inc_value("feedexport/success_count/FileFeedStorage")
                await self.crawler.signals.send_catch_log_async(signals.feed_slot_closed, slot=slot)

    # -- the end of a run ----------------------------------------------------------------------------------------

    async def _finish(self) -> bool:
        """Close the continued feeds, write the others. False if one could not be stored: the job has not finished."""
        self._job.flush()
        if not self._job.works or self._spool is None:
            return False
        assert self.crawler.spider is not None
        failed = self._failures()
        try:
            for feed in self._continued:
                feed.finish()
            await asyncio.gather(self._tell(), *self._telling)
            if self.slots:
                await self._write_whole(self._spool, self.crawler.spider)
            await super().close_spider(self.crawler.spider)
        except (OSError, CannotLoad) as error:
            logger.error("A feed cannot be written: %s. Its items are kept: mend that and run the command again", error)
            return False
        self._spool.close()
        return not self._unwritten and self._failures() == failed

    async def _write_whole(self, spool: ItemSpool, spider: Spider) -> None:
        superseded = self._job.store.items.superseded()
        gone = next(superseded, None)
        for number, item in enumerate(spool.items()):
            if number == gone:
                gone = next(superseded, None)
                continue
            # Each slot by itself: what one of them does not take, the others may.
            self.slots = [left for slot in self.slots for left in self._written(slot, item, spider)]
            if number % AT_A_TIME == 0:
                await sleep(0)

    def _written(self, slot: FeedSlot, item: Any, spider: Spider) -> list[FeedSlot]:
        """Write *item* to *slot*. Returns the slots to go on with: the next batch, or none if there is no file."""
        self.slots = [slot]
        try:
            super().item_scraped(item, spider)
        except OSError as error:
            return self._not_written(slot, error)
        except Exception:
            try:
                slot.start_exporting()
            except Exception as error:
                return self._not_written(slot, error)
            self._not_taken(item, slot)
        return self.slots

    async def _close_slot(self, slot: FeedSlot, spider: Spider) -> None:
        try:
            await super()._close_slot(slot, spider)
        except Exception as error:
            self._not_written(slot, error)
            return
        target = self._targets.get(f"target:{slot.batch_id} {slot.uri_template}")
        if target is not None:
            target.items = slot.itemcount
            self._job.add_sink(target)

    def _not_written(self, slot: FeedSlot, error: Exception) -> list[FeedSlot]:
        self._unwritten += 1
        logger.error(
            "The feed %s cannot be written: %r. Its items are kept: mend that and run the command again",
            slot.uri,
            error,
        )
        return []

    def _failures(self) -> int:
        stats = self.crawler.stats.get_stats()
        return sum(count for name, count in stats.items() if name.startswith("feedexport/failed_count/"))


# -- feeds of earlier runs that this one does not name ------------------------------------------------------------


def take_back_all(job: Job) -> None:
    """This run has no feeds at all."""
    if job.works:
        with job.guard("mend a feed"):
            for name, record in job.store.feeds().items():
                take_back(job, name, record)


def take_back(job: Job, name: str, record: dict[str, Any]) -> None:
    """Undo what came after the last commit: no torn tail may stay."""
    if name.startswith("feed:"):
        reach = WriteLog(notes(job, name, "reach"))
        UndoLog(notes(job, name, "undo"), record["noted"], reach)
        if record["length"] is not None:
            cut_back(Path(record["path"]), record["length"], reach)
        reach.undone()


def notes(job: Job, name: str, kind: str) -> Path:
    """The file with what is noted of a feed besides its record."""
    return job.state_directory / f"feed-{blake2b(name.encode(), digest_size=6).hexdigest()}.{kind}"
