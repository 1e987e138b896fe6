"""Exactly-once feed export, as an extension of Scrapy's ``FeedExporter``.

JSON lines and CSV in a local file are *appended* to: items are encoded as they are scraped, written when their page
settles, and the length of the file is part of the commit. Every other feed is *rewritten* at the end of each run, by
Scrapy's own code, from a spool that holds every item of the job.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import IO, Any

from scrapy import Spider, signals
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured
from scrapy.exporters import BaseItemExporter
from scrapy.extensions.feedexport import FeedExporter, FeedSlot, FileFeedStorage, ItemFilter
from scrapy.utils.misc import build_from_crawler

from scrapy_t8.core.job.job import Job
from scrapy_t8.core.page import leave_page
from scrapy_t8.core.scrapy_private import apply_uri_params
from scrapy_t8.errors import CannotLoad, FeedError
from scrapy_t8.utils.log.loggers import get_logger
from scrapy_t8.utils.text import counted, one_line

from .appended import AppendedFeed
from .feed_paths import FeedPaths, refuse_same_file
from .job_feeds import leave_feeds, log_earlier_rows, reading_record, refuse_without_storage, same_feed, undo_log
from .rewritten import AtomicFileStorage, RewriteTarget, position, take_back
from .row_encoder import RowEncoder, can_be_appended
from .spool import ItemSpool

logger = get_logger(__name__)

AT_A_TIME = 200
"""Items that are written to rewritten feeds before the event loop gets its turn."""
EVERYTHING = ItemFilter(None)
LOGGED = 20
"""Items that a feed does not take that are logged one by one."""
REASON = 200
"""Characters of an exception by which items are counted that a feed does not take."""


class T8FeedExporter(FeedExporter):
    """Takes the place of Scrapy's. FEEDS, ``-o`` and ``-O`` keep their meaning, and a kill loses or doubles no item."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> T8FeedExporter:
        try:
            exporter = cls(crawler)
        except NotConfigured:
            refuse_without_storage(crawler)
            job = Job.required(crawler)
            with job.guard("leave a feed"):
                leave_feeds(job, job.store.feeds())
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
        self._errors = 0
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
        refuse_same_file(self.feeds, partial(self._get_uri_params, spider))
        records = self._job.store.feeds()
        for name in [name for name in records if name.startswith("target:")]:
            if name.partition(" ")[2] in self.feeds:
                with reading_record(name):
                    self._targets[name] = RewriteTarget.load(name, records.pop(name))
        super().open_spider(spider)
        appended = [slot for slot in self.slots if self._is_appended(slot)]
        for slot in appended:
            with reading_record(slot.uri):
                self._open_appended(slot, records.pop(f"feed:{slot.uri_template}", None))
        self.slots = [slot for slot in self.slots if slot not in appended]
        with reading_record("items.spool"):
            self._open_spool(records.pop("spool", None))
        leave_feeds(self._job, records)
        self._job.flush()

    def _open_spool(self, record: dict[str, Any] | None) -> None:
        power = self._job.config.durability == "power"
        path = self._job.state_directory / "items.spool"
        self._spool = ItemSpool(path, self._job.codec, record if self.slots else None, power=power)
        if self.slots:
            self._begin(self._spool, "the feeds that are written at the end", is_new=record is None)
            self._job.add_sink(self._spool)
        elif record is not None:
            leave_feeds(self._job, {"spool": record})

    def _begin(self, feed: AppendedFeed | ItemSpool, name: str, *, is_new: bool) -> None:
        """Count the items that were exported while *feed* was not named."""
        exported = self._job.record.ledger.exported
        if is_new:
            feed.balance.absent_since = 0
        before = feed.balance.late
        feed.balance.begin(exported)
        if feed.balance.late > before:
            items = counted(feed.balance.late - before, "item was", "items were")
            logger.warning("%s exported when %s was not named: the crawl will not be complete", items, name)

    def _is_appended(self, slot: FeedSlot) -> bool:
        return (
            # Which items are the last of their key is not known before the end.
            self._job.config.dedup_policy != "last"
            and can_be_appended(self.exporters[slot.format])
            and type(slot.storage) is AtomicFileStorage
            and "postprocessing" not in slot.feed_options
        )

    def _open_appended(self, slot: FeedSlot, record: dict[str, Any] | None) -> None:
        header, fields, paths = None, None, self._paths(slot)
        if record is not None:
            same_feed(slot, record, paths)
            slot = self._make_slot(slot, record["batch"], record["uri"])
            header = None if record["header"] is None else record["header"].encode("latin-1")
            fields = record["fields"]
        elif isinstance(slot.storage, AtomicFileStorage):
            log_earlier_rows(self._job, slot.uri, slot.storage.kept_length())
        rows = RowEncoder(partial(self._build_exporter, slot), header, fields)
        undo = undo_log(self._job, f"feed:{slot.uri_template}", record, paths.has_file)
        power = self._job.config.durability == "power"
        feed = AppendedFeed(slot, rows, undo, following=self._following, record=record, power=power)
        self._begin(feed, f"the feed {slot.uri}", is_new=record is None)
        self._appended.append(feed)
        self._job.add_sink(feed)

    def _paths(self, slot: FeedSlot) -> FeedPaths:
        params = self._get_uri_params(slot.spider, slot.feed_options["uri_params"])
        is_local = isinstance(slot.storage, AtomicFileStorage)
        return FeedPaths(slot.uri_template, params, lambda uri: AtomicFileStorage(uri).path if is_local else None)

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
        slot = super()._start_new_batch(batch_id, uri, feed_options, spider, uri_template)
        if self._is_appended(slot):
            return slot
        if target is not None and target.uri != uri:
            same_feed(slot, target.record(), self._paths(slot))
            slot = super()._start_new_batch(batch_id, target.uri, feed_options, spider, uri_template)
        local = slot.storage if isinstance(slot.storage, AtomicFileStorage) else None
        if target is None:
            path = str(Path(local.path).absolute()) if local else ""
            base = local.kept_length() if local else 0
            log_earlier_rows(self._job, uri, base)
            target = self._targets[name] = RewriteTarget(name, uri, base, format=slot.format, path=path)
            self._job.add_sink(target)
            self._job.flush()
        if local:
            local.base = target.base
        return slot

    # -- items ---------------------------------------------------------------------------------------------------

    def item_scraped(self, item: Any, spider: Spider | None = None) -> str:  # type: ignore[override]
        """Keep *item* for all feeds, until its page settles. Return why no feed has taken it; empty if one has."""
        refused, is_taken = "", bool(self.slots)
        with self._job.guard("keep an item"):
            for feed in self._appended:
                row, culprit = self._encoded(feed, item)
                if row is not None:
                    self._job.stage(feed, row)
                refused, is_taken = refused or culprit, is_taken or bool(row)
            if self.slots and self._spool is not None:
                self._job.stage(self._spool, self._spooled(self._spool, item))
        if any(feed.stored for feed in self._appended):
            task = asyncio.create_task(self._announce_stored())
            self._announcements.add(task)
            task.add_done_callback(self._announcements.discard)
        return "" if is_taken else refused

    def _encoded(self, feed: AppendedFeed, item: Any) -> tuple[bytes | None, str]:
        """Return the bytes of *item*, None if it does not belong in the feed; and what has raised an exception."""
        culprit = type(feed.slot.filter).__qualname__
        try:
            if not feed.slot.filter.accepts(item):
                return None, ""
            culprit = feed.rows.exporter
            return feed.rows.encode(item), ""
        except Exception as error:
            culprit = self._count_refused(item, feed.slot, culprit, error)
            return feed.refuse(culprit), culprit

    def _spooled(self, spool: ItemSpool, item: Any) -> bytes:
        data, error = spool.encode(item)
        if error is not None and not self._has_warned:
            self._has_warned = True
            message = "%s of an item is kept as text: %s. Further warnings of this kind are suppressed"
            logger.warning(message, error.where or "A part", error)
        return data

    def _count_refused(self, item: Any, slot: FeedSlot, culprit: str, error: Exception) -> str:
        """Count an item that a feed does not take: as in plain Scrapy, it is missing from that feed. Return why."""
        self._errors += 1
        if self._errors <= LOGGED:
            logger.exception("An item cannot be exported to %s: %r", slot.uri, item)
        self.crawler.stats.inc_value(f"feedexport/failed_items/{slot.format}")
        return f"{culprit}: {one_line(f'{type(error).__name__}: {error}', REASON)}"

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
                self._job.touch(feed)
                feed.finish()
            await asyncio.gather(self._announce_stored(), *self._announcements)
            if self.slots:
                await self._rewrite(self._spool, self.crawler.spider)
            await super().close_spider(self.crawler.spider)
        except (FeedError, OSError, CannotLoad) as error:
            logger.error("A feed is not complete: %s. Its items are kept: fix that, and run the command again", error)
            return False
        self._spool.close()
        return not self._unwritten and self._failures() == failed

    async def _rewrite(self, spool: ItemSpool, spider: Spider) -> None:
        superseded = self._job.store.items.superseded()
        skipped = next(superseded, None)
        for target in self._targets.values():
            target.balance.refused.clear()
        spool.balance.untaken = 0
        for number, item in spool.numbered():
            while skipped is not None and skipped < number:
                skipped = next(superseded, None)
            if number == skipped:
                continue
            # Each slot by itself: what one of them does not take, the others may.
            before, items = self._errors, sum(slot.itemcount for slot in self.slots)
            slots = self.slots
            self.slots = [left for slot in slots for left in self._written(slot, item, spider)]
            is_taken = self._appended or sum(slot.itemcount for slot in slots) > items
            spool.balance.untaken += self._errors > before and not is_taken
            if number % AT_A_TIME == 0:
                await asyncio.sleep(0)
        for target in self._targets.values():
            self._job.add_sink(target)
        self._job.touch(spool)

    def _written(self, slot: FeedSlot, item: Any, spider: Spider) -> list[FeedSlot]:
        """Write *item* to *slot*. Return the slots to go on with: the next batch, or none if there is no file."""
        self.slots, culprit, at, own_filter = [slot], type(slot.filter).__qualname__, None, slot.filter
        is_accepted = False
        try:
            if not slot.filter.accepts(item):
                return [slot]
            is_accepted = True
            slot.start_exporting()
            culprit, at = type(slot.exporter).__qualname__, position(slot)
            slot.filter = EVERYTHING
            super().item_scraped(item, spider)
        except (FeedError, OSError) as error:
            return self._give_up(slot, error)
        except Exception as error:
            if is_accepted and not take_back(slot, at):
                return self._give_up(slot, error)
            why = self._count_refused(item, slot, culprit, error)
            target = self._targets.get(f"target:{slot.batch_id} {slot.uri_template}")
            if target is not None:
                target.balance.count_refused(why)
        finally:
            slot.filter = own_filter
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
        message = "The feed %s cannot be written: %r. Its items are kept: fix that, and run the command again"
        logger.error(message, slot.uri, error)
        return []

    def _failures(self) -> int:
        stats = self.crawler.stats.get_stats()
        return sum(count for name, count in stats.items() if name.startswith("feedexport/failed_count/"))
