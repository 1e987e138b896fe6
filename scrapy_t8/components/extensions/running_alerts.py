"""Alerts while a crawl runs: once for each incident, and an all-clear."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from scrapy import signals
from scrapy.crawler import Crawler
from scrapy.utils.asyncio import AsyncioLoopingCall, create_looping_call
from scrapy.utils.defer import deferred_from_coro
from twisted.internet.task import LoopingCall

from scrapy_t8.components.signals import t8_alert
from scrapy_t8.core.job.job import Job
from scrapy_t8.report.alerts import Incidents, alert_lines, alert_thresholds, alerts_now
from scrapy_t8.utils.log.loggers import get_logger

if TYPE_CHECKING:
    from scrapy_t8.report.notify import Notifier

logger = get_logger(__name__)


class RunningAlerts:
    """Looks every T8_ALERT_INTERVAL seconds for hosts that are down and for parts that are beyond their thresholds.

    :param notifier: sends the alerts to people; None: no notification is sent.
    """

    def __init__(self, crawler: Crawler, job: Job, notifier: Notifier | None) -> None:
        self._crawler = crawler
        self._job = job
        self._notifier = notifier
        self._thresholds = alert_thresholds(job.config.alert_thresholds)
        self._incidents = Incidents()
        self._timer: AsyncioLoopingCall | LoopingCall | None = None
        if job.config.alert_interval:
            crawler.signals.connect(self._begin, signals.spider_opened)
            crawler.signals.connect(self._end, signals.spider_closed)

    def _begin(self) -> None:
        self._timer = create_looping_call(self._look)
        self._timer.start(self._job.config.alert_interval, now=False)

    def _end(self) -> None:
        if self._timer is not None and self._timer.running:
            self._timer.stop()

    def _look(self) -> None:
        try:
            found = alerts_now(self._counts(), self._thresholds, self._down(), self._job.config.alert_host_down)
        except Exception:
            logger.exception("The alerts of the running crawl could not be looked for: a bug in scrapy_t8")
            return
        new, over = self._incidents.update(found)
        for number, line in enumerate(alert_lines(new, over)):
            logger.log(logging.WARNING if number < len(new) else logging.INFO, "%s", line)
        for alert in new:
            document = {**alert._asdict(), "running": True}
            self._crawler.signals.send_catch_log(t8_alert, alert=document, spider=self._crawler.spider)
        if (new or over) and self._notifier is not None:
            send: Callable[..., Awaitable[Any]] = self._notifier.send
            title = f"{self._job.record.spider}: {len(new)} alerts" if new else f"{self._job.record.spider}: all clear"
            deferred_from_coro(send(title, "\n".join(alert_lines(new, over))))

    def _counts(self) -> dict[str, int]:
        ledger, stats = self._job.record.ledger, self._crawler.stats
        assert stats is not None
        of_run = {name: stats.get_value(f"t8/retry/{name}", 0) for name in ("succeeded", "buried", "not_retried")}
        return {"done": ledger.done, "dead": ledger.dead, "waiting": len(self._job.frontier.waiting), **of_run}

    def _down(self) -> dict[str, float]:
        now, breaker = self._job.clock(), self._job.retries.breaker
        hosts = breaker.hosts()
        return {host: now - hosts[host].since for host in hosts if breaker.is_open(host, now)}
