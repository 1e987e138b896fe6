"""Exactly-once feed export, as an extension of Scrapy's ``FeedExporter``.

JSON lines and CSV in a local file are *continued*: items are encoded as they are scraped, written when their page
settles, and the length of the file is part of the commit. Every other feed is written *whole* at the end of each run,
by Scrapy's own code, from a spool that holds every item of the job.
"""

from __future__ import annotations

import logging
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlparse

from scrapy import Spider, signals
from scrapy.crawler import Crawler
from scrapy.exporters import BaseItemExporter
from scrapy.extensions.feedexport import FeedExporter, FeedSlot, FileFeedStorage, apply_uri_params
from scrapy.utils.asyncio import sleep
from scrapy.utils.misc import build_from_crawler

from ..errors import CannotLoad
from ..job import Job
from .continued import ContinuedFeed
from .journal import UndoLog, cut_back
from .rows import Rows, can_be_continued
from .spool import Spool, WholeFile, base_of

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)

AT_A_TIME = 200
"""Items written to whole feeds before the event loop gets its turn."""


class T8FeedExporter(FeedExporter):
    """In the place of Scrapy's. FEEDS, ``-o`` and ``-O`` mean what they always did; a stop does not matter to them."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        exporter = cls(crawler)
        crawler.signals.connect(exporter.open_spider, signals.spider_opened)
        crawler.signals.connect(exporter.item_scraped, signals.item_scraped)
        exporter._job.closers.append(exporter._finish)
        return exporter

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self._job = Job.of(crawler)
        self._continued: list[ContinuedFeed] = []
        self._spool: Spool | None = None
        self._told = False
        for scheme in ("", "file"):
            if self.storages.get(scheme) is FileFeedStorage:
                self.storages[scheme] = WholeFile

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
        self._spool = Spool(spool, self._job.frontier.codec, records.pop("spool", None), power=power)
        super().open_spider(spider)
        for slot in self.slots:
            if self._goes_on(slot):
                self._continue(slot, records.pop(f"feed:{slot.uri_template}", None), power)
        self.slots = [slot for slot in self.slots if not self._goes_on(slot)]
        if self.slots:
            self._job.add_sink(self._spool)
        for record in records.values():
            # A feed of an earlier run that this command does not name: no torn tail may stay.
            if record["length"] is not None and Path(record["path"]).exists():
                cut_back(Path(record["path"]), record["length"])
        self._job.flush()

    def _goes_on(self, slot: FeedSlot) -> bool:
        return (
            can_be_continued(self.exporters[slot.format])
            and type(slot.storage) is WholeFile
            and "postprocessing" not in slot.feed_options
        )

    def _continue(self, slot: FeedSlot, record: dict[str, Any] | None, power: bool) -> None:
        header, fields, noted = None, None, 0
        if record is not None:
            header = None if record["header"] is None else record["header"].encode("latin-1")
            fields, noted = record["fields"], record["noted"]
        rows = Rows(partial(self._build_exporter, slot), header, fields)
        log = self._job.state_directory / f"feed-{blake2b(slot.uri_template.encode(), digest_size=6).hexdigest()}.undo"
        if record is None:
            log.unlink(missing_ok=True)
        feed = ContinuedFeed(slot, rows, self._next_uri, UndoLog(log, noted), record, power=power)
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

    def _next_uri(self, slot: FeedSlot) -> str:
        params = self._get_uri_params(slot.spider, slot.feed_options["uri_params"], slot)
        return apply_uri_params(slot.uri_template, params)

    def _start_new_batch(
        self, batch_id: int, uri: str, feed_options: dict[str, Any], spider: Spider, uri_template: str
    ) -> FeedSlot:
        """A whole feed is written at the end of every run: each time to the files that its first run has chosen."""
        assert self._spool is not None
        name = f"{batch_id} {uri_template}"
        if name not in self._spool.targets:
            local = urlparse(uri).scheme in ("", "file")
            base = base_of(uri, overwrite=feed_options["overwrite"]) if local else 0
            self._spool.targets[name] = {"uri": uri, "base": base}
            self._job.flush()
        target = self._spool.targets[name]
        slot = super()._start_new_batch(batch_id, target["uri"], feed_options, spider, uri_template)
        if isinstance(slot.storage, WholeFile):
            slot.storage.base = target["base"]
        return slot

    # -- items ---------------------------------------------------------------------------------------------------

    def item_scraped(self, item: Any, spider: Spider) -> None:
        if not self._job.works:
            return
        for feed in self._continued:
            if feed.slot.filter.accepts(item) and (row := self._encoded(feed, item)) is not None:
                with self._job.guard("keep an item"):
                    self._job.stage(feed, row)
        if self.slots and self._spool is not None:
            with self._job.guard("keep an item"):
                self._job.stage(self._spool, self._spooled(self._spool, item))

    def _encoded(self, feed: ContinuedFeed, item: Any) -> bytes | None:
        try:
            return feed.rows.encode(item)
        except Exception:
            # As in plain Scrapy, an item that the exporter does not take is missing from that feed; here it is counted.
            logger.exception("An item cannot be exported to %s: %r", feed.slot.uri, item)
            self.crawler.stats.inc_value(f"feedexport/failed_items/{feed.slot.format}")
            return None

    def _spooled(self, spool: Spool, item: Any) -> bytes:
        data, error = spool.encode(item)
        if error is not None and not self._told:
            self._told = True
            logger.warning("%s of an item is kept as text: %s. Not said again", error.where or "A part", error)
        return data

    # -- the end of a run ----------------------------------------------------------------------------------------

    async def _finish(self) -> bool:
        """Close the continued feeds, write the others. False if one could not be stored: the job has not finished."""
        self._job.flush()
        if not self._job.works or self._spool is None:
            return False
        failed = self._failures()
        try:
            for feed in self._continued:
                await self._tell(feed)
            if self.slots:
                await self._write_whole()
            assert self.crawler.spider is not None
            await super().close_spider(self.crawler.spider)
        except (OSError, CannotLoad) as error:
            logger.error("A feed cannot be written: %s. Its items are kept: mend that and run the command again", error)
            return False
        self._spool.close()
        return self._failures() == failed

    async def _tell(self, feed: ContinuedFeed) -> None:
        wanted = feed.finish()
        stored = [*feed.ended, (feed.slot.uri, feed.slot.itemcount)] if wanted else feed.ended
        for uri, count in stored:
            logger.info("Stored %s feed (%d items) in: %s", feed.slot.format, count, uri)
            self.crawler.stats.inc_value("feedexport/success_count/FileFeedStorage")
            await self.crawler.signals.send_catch_log_async(signals.feed_slot_closed, slot=feed.slot)

    async def _write_whole(self) -> None:
        assert self._spool is not None
        assert self.crawler.spider is not None
        for number, item in enumerate(self._spool.items()):
            super().item_scraped(item, self.crawler.spider)
            if number % AT_A_TIME == 0:
                await sleep(0)

    def _failures(self) -> int:
        stats = self.crawler.stats.get_stats()
        return sum(count for name, count in stats.items() if name.startswith("feedexport/failed_count/"))
