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

from scrapy_t8.components.signals import t8_alert, t8_run_ended
from scrapy_t8.config import releases
from scrapy_t8.config.causes import Accepted
from scrapy_t8.config.parsing import load_callable
from scrapy_t8.config.settings import Config
from scrapy_t8.core import scrapy_private
from scrapy_t8.core.frontier.endings import ACCEPT
from scrapy_t8.core.items.checks import coverage_thresholds
from scrapy_t8.core.job.job import Job
from scrapy_t8.errors import ConfigError, T8Error, WriteError
from scrapy_t8.model.job import SKIP, PastJob
from scrapy_t8.report.alerts import alert_thresholds, alerts_of
from scrapy_t8.utils.log.loggers import get_logger
from scrapy_t8.utils.log.mask import KEPT, Mask
from scrapy_t8.utils.log.tracebacks import culprit_of, in_one_line
from scrapy_t8.utils.text import one_line

from .running_alerts import RunningAlerts

if TYPE_CHECKING:
    from scrapy_t8.report.notify import Notifier
    from scrapy_t8.validation.validator import ResumeValidator

logger = get_logger(__name__)

Document = dict[str, Any]


class T8Report:
    """Writes the integrity report when a run has ended or was stopped, and raises alerts.

    Each crawl loads this module, so what only the end of a run needs is imported then.

    :raises ConfigError: from ``from_crawler``, for an invalid setting of alerts, notifications or validation.
    """

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> T8Report:
        job = Job.required(crawler)
        if not (job.config.enable_integrity_check or job.config.exit_status):
            raise NotConfigured
        with in_one_line(logger):
            report = cls(crawler, job)
        job.after_run(report.end, at_exit=report.write)
        return report

    def __init__(self, crawler: Crawler, job: Job) -> None:
        self._crawler = crawler
        self._job = job
        self._thresholds = alert_thresholds(job.config.alert_thresholds)
        self._coverage = coverage_thresholds(job.config.field_coverage)
        self._accepted = Accepted(job.config.accept)
        self._validator = _validator(job.config)
        self._notifier = _notifier(job.config)
        self._running_alerts = RunningAlerts(crawler, job, self._notifier)
        self._custom: Document = {}
        self._hidden = [str(name) for name in job.config.report_mask]
        kept: dict[str, Any] = {KEPT: self._hidden, ACCEPT: self._accepted.patterns, SKIP: job.config.skip_finished}
        kept[releases.KEPT] = releases.releases()
        self._kept = {name: msgpack.packb(value) for name, value in kept.items()}
        self._unproven: list[str] = []
        job.persist(self)

    def dump(self, *, force: bool) -> Mapping[str, bytes]:
        """Return the data of the crawl that a report on demand needs, once."""
        kept, self._kept = self._kept, {}
        return kept

    async def end(self) -> None:
        """Write the report of the run, raise its alerts, and notify people of them.

        The exit status is that of an incomplete job until the last line of this.
        """
        try:
            self._custom = await self._validated()
            document, text = await asyncio.to_thread(self._write)
        except T8Error as error:
            self._log_absence(error)
            return
        except Exception as error:
            culprit = culprit_of(error)
            whose = f"{culprit} has raised an exception" if culprit else "please report this as a bug of scrapy_t8"
            logger.exception("There is no integrity report: %s", whose)
            return
        self._publish(document, text)
        if document["alerts"] and self._notifier is not None:
            title = f"{document['job']['spider']}: {document['verdict']}, {len(document['alerts'])} alerts"
            await self._notifier.send(title, text)
        if self._job.config.exit_status:
            scrapy_private.set_exit_status(self._crawler, document["exit_status"])

    def _log_absence(self, error: T8Error, what: str = "There is no integrity report") -> None:
        # If the state or the disk has failed, that was logged as an error already.
        level = logging.ERROR if self._job.error is None else logging.WARNING
        logger.log(level, "%s: %s", what, error)

    def write(self) -> None:
        """Write the report of a process that ends at once, and log what the same command does next."""
        from scrapy_t8.report.next_steps import what_follows

        try:
            document, _ = self._write()
            logger.warning("The run was forced to end at once; %s", what_follows(document))
        except Exception as error:
            logger.error("There is no integrity report: %s", error)

    # -- how -----------------------------------------------------------------------------------------------------

    async def _validated(self) -> Document:
        if self._validator is None:
            return {}
        from scrapy_t8.core.offline.resume_points import ResumePoints

        limit = self._job.config.validator_timeout
        try:
            validator = self._validator(ResumePoints(self._job.store))
            return await asyncio.wait_for(validator.validate(), limit)
        except asyncio.TimeoutError:
            problem = f"T8_VALIDATOR has given no answer in {limit:g} s"
        except Exception as error:
            problem = f"T8_VALIDATOR has failed: {one_line(repr(error))}"
        logger.error("%s", problem)
        self._unproven.append(problem)
        return {"valid": False, "error": problem}

    def _write(self) -> tuple[Document, str]:
        """Write the report. Return the report, and its summary."""
        from scrapy_t8.report.files import DIRECTORY, doubt, final_report, write
        from scrapy_t8.report.summary import summary

        job, config, now, mask = self._job, self._job.config, self._job.clock(), Mask(self._hidden)
        document, history = final_report(job.state_directory, now, mask, self._custom, self._accepted)
        alerts = alerts_of(
            document,
            self._thresholds,
            history,
            items_drop=config.alert_items_drop,
            host_down=config.alert_host_down,
            now=now,
            coverage=self._coverage,
        )
        document["alerts"] = [alert._asdict() for alert in alerts]
        doubt(document, self._unproven)
        more = ""
        if config.enable_integrity_check:
            try:
                path = write(document, Path(config.report_dir or job.directory / DIRECTORY), job.directory)
                more = f"\n  more in {path}"
            except WriteError as error:
                self._log_absence(error, "The report is only in this log")
                doubt(document, [str(error)])
        return document, summary(document, job.directory) + more

    def _publish(self, document: Document, text: str) -> None:
        """Put the result into log, statistics, signals and the history of jobs."""
        level = {"complete": logging.INFO, "unbalanced": logging.ERROR}.get(document["verdict"], logging.WARNING)
        logger.log(level, "%s", text)
        stats = self._crawler.stats
        assert stats is not None
        stats.set_value("t8/verdict", document["verdict"])
        stats.set_value("t8/exit_status", document["exit_status"])
        for name, count in counts(document).items():
            stats.set_value(f"t8/{name}", count)
        for alert in document["alerts"]:
            self._crawler.signals.send_catch_log(t8_alert, alert=alert, spider=self._crawler.spider)
        self._crawler.signals.send_catch_log(t8_run_ended, report=document, spider=self._crawler.spider)
        if self._job.record.finished:
            self._remember(good=document["verdict"] == "complete")

    def _remember(self, *, good: bool) -> None:
        """Record the finished job: later jobs are compared with it."""
        record = self._job.record
        items = record.ledger.exported + record.ledger.again
        past = PastJob(record.id, record.number, record.spider, record.begun, self._job.clock(), items, good=good)
        try:
            self._job.store.items.add_past_job(past)
        except T8Error as error:
            logger.error("%s", error)


def counts(document: Document) -> dict[str, int]:
    """Return the numbers of *document* by their names below ``t8/``. A number that is 0 is left out."""
    found = {f"{part}/{what}": count for part, account in document["ledger"].items() for what, count in account.items()}
    found |= {f"without_result/{row['cause']}": row["count"] for row in document["without_result"]["causes"]}
    found |= {"without_result": document["without_result"]["count"], "alerts": len(document["alerts"])}
    return {name: count for name, count in found.items() if count}


def _notifier(config: Config) -> Notifier | None:
    if not config.notify_urls:
        return None
    from scrapy_t8.report.notify import Notifier

    return Notifier([str(url) for url in config.notify_urls], config.notify_timeout)


def _validator(config: Config) -> type[ResumeValidator] | None:
    if not config.validator:
        return None
    from scrapy_t8.validation.validator import ResumeValidator

    found = load_callable("T8_VALIDATOR", config.validator)
    if not (isinstance(found, type) and issubclass(found, ResumeValidator)):
        raise ConfigError(f"T8_VALIDATOR names {config.validator!r}, which is not a subclass of ResumeValidator")
    return found
