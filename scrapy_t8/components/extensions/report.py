"""The extension that ends each run with a report."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgpack
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured

from scrapy_t8.components.signals import t8_alert
from scrapy_t8.config.parsing import load_callable
from scrapy_t8.config.settings import Config
from scrapy_t8.core import scrapy_private
from scrapy_t8.core.items.checks import coverage_thresholds
from scrapy_t8.core.job.job import Job
from scrapy_t8.core.offline.resume_points import ResumePoints
from scrapy_t8.errors import ConfigError, T8Error
from scrapy_t8.model.job import PastJob
from scrapy_t8.report.alerts import Alert, alert_thresholds, alerts_of
from scrapy_t8.report.document import Document, exit_status
from scrapy_t8.report.files import DIRECTORY, MASKED, document_of, write
from scrapy_t8.report.mask import Mask
from scrapy_t8.report.notify import Notifier
from scrapy_t8.report.summary import summary
from scrapy_t8.stores.reader.reader import reading
from scrapy_t8.validation.validator import ResumeValidator

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)


class T8Report:
    """Writes the integrity report when a run has ended, also one that was stopped, and raises alerts.

    :raises ConfigError: from ``from_crawler``, for a setting of alerts, notifications or validation that is wrong.
    """

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        job = Job.required(crawler)
        if not job.config.enable_integrity_check:
            raise NotConfigured
        try:
            report = cls(crawler, job)
        except T8Error as error:
            logger.critical("%s", error)
            scrapy_private.mute_tracebacks_of(error)
            raise
        job.after_run(report.end, at_exit=report.write)
        return report

    def __init__(self, crawler: Crawler, job: Job) -> None:
        config = job.config
        self._crawler = crawler
        self._job = job
        self._directory = Path(config.report_dir) if config.report_dir else job.directory / DIRECTORY
        self._thresholds = alert_thresholds(config.alert_thresholds)
        self._coverage = coverage_thresholds(config.field_coverage)
        self._validator = _validator(config)
        self._notifier = Notifier([str(url) for url in config.notify_urls], config.notify_timeout)
        self._custom: Document = {}
        self._mask = Mask([str(name) for name in config.report_mask])
        self._kept = {MASKED: msgpack.packb([str(name) for name in config.report_mask])}
        job.persist(self)

    def dump(self, *, force: bool) -> Mapping[str, bytes]:
        """What a report on demand needs to know, once."""
        kept, self._kept = self._kept, {}
        return kept

    async def end(self) -> None:
        """The run has ended: the report, the alerts, and whoever is to hear of them."""
        try:
            self._custom = await self._validated()
            document = await asyncio.to_thread(self._collect)
            where = await asyncio.to_thread(write, document, self._directory)
        except T8Error as error:
            # Where the state or the disk has failed, that was told already.
            level = logging.ERROR if self._job.error is None else logging.WARNING
            logger.log(level, "There is no integrity report: %s", error)
            return
        except Exception:
            logger.exception("There is no integrity report: a bug in scrapy_t8")
            return
        self._tell(document, where)
        if document["alerts"]:
            await self._notifier.send(_title(document), summary(document))

    def write(self) -> None:
        """The process ends at once: the report, without any ceremony."""
        try:
            write(self._collect(), self._directory)
        except Exception as error:
            logger.error("There is no integrity report: %s", error)

    # -- how -----------------------------------------------------------------------------------------------------

    def _collect(self) -> Document:
        job, config = self._job, self._job.config
        now = job.clock()
        with reading(job.state_directory) as reader:
            document = document_of(reader, job.directory, now, self._mask, running=False)
            past = reader.past_jobs(job.record.spider)
        document["validation"]["custom"] = self._mask.all(self._custom, given=True)
        history = [before.items for before in past if before.good and before.number != job.record.number]
        alerts = alerts_of(
            document,
            self._thresholds,
            history,
            items_drop=config.alert_items_drop,
            host_down=config.alert_host_down,
            now=now,
            coverage=self._coverage,
        )
        document["alerts"] = [_told(alert) for alert in alerts]
        document["exit_status"] = exit_status(document)
        return document

    async def _validated(self) -> Document:
        if self._validator is None:
            return {}
        return await self._validator(ResumePoints(self._job.store)).validate()

    def _tell(self, document: Document, where: Path) -> None:
        level = logging.INFO if document["verdict"] == "complete" else logging.WARNING
        level = logging.ERROR if document["verdict"] == "unbalanced" else level
        logger.log(level, "%s\n  more in %s", summary(document), where)
        stats = self._crawler.stats
        assert stats is not None
        stats.set_value("t8/verdict", document["verdict"])
        stats.set_value("t8/exit_status", document["exit_status"])
        for name, books in document["ledger"].items():
            for what, count in books.items():
                stats.set_value(f"t8/{name}/{what}", count)
        stats.set_value("t8/alerts", len(document["alerts"]))
        for alert in document["alerts"]:
            self._crawler.signals.send_catch_log(t8_alert, alert=alert, spider=self._crawler.spider)
        self._remember(document)
        if self._job.config.exit_status:
            scrapy_private.set_exit_status(document["exit_status"])

    def _remember(self, document: Document) -> None:
        """A job that has finished is one to compare later ones with."""
        record = self._job.record
        if not record.finished:
            return
        past = PastJob(
            record.id,
            record.number,
            record.spider,
            record.begun,
            self._job.clock(),
            record.ledger.exported + record.ledger.again,
            good=document["verdict"] == "complete",
        )
        try:
            self._job.store.items.add_past_job(past)
        except T8Error as error:
            logger.error("%s", error)


def _told(alert: Alert) -> dict[str, Any]:
    return {name: getattr(alert, name) for name in ("name", "setting", "value", "threshold", "message")}


def _title(document: Document) -> str:
    return f"{document['job']['spider']}: {document['verdict']}, {len(document['alerts'])} alerts"


def _validator(config: Config) -> type[ResumeValidator] | None:
    if not config.validator:
        return None
    found = load_callable("T8_VALIDATOR", config.validator)
    if not (isinstance(found, type) and issubclass(found, ResumeValidator)):
        raise ConfigError(f"T8_VALIDATOR names {config.validator!r}, which is no subclass of ResumeValidator")
    return found
