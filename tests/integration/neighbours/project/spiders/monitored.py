"""Spidermon validates the items, and its monitors run when a crawl closes."""

from __future__ import annotations

from typing import Any, ClassVar

from spidermon import Monitor, MonitorSuite
from spidermon.contrib.scrapy.monitors import FinishReasonMonitor

from tests.support.probe import note

from .base import ListsSpider

SCHEMA = {"type": "object", "properties": {"name": {"type": "string", "pattern": "^[0-9]"}}, "required": ["name"]}


class AccountsMonitor(Monitor):
    """Notes what a monitor finds in the statistics."""

    def test_items(self) -> None:
        stats: Any = self.data.stats
        note(f"monitored {stats['item_scraped_count']} of the run, {stats.get('t8/job/item_scraped_count')} of the job")


class CloseSuite(MonitorSuite):
    monitors: ClassVar = [AccountsMonitor, FinishReasonMonitor]


class MonitoredSpider(ListsSpider):
    name = "monitored"
    custom_settings: ClassVar = {
        "SPIDERMON_ENABLED": True,
        "EXTENSIONS": {"tests.support.probe.StatsFile": 900, "spidermon.contrib.scrapy.extensions.Spidermon": 500},
        "ITEM_PIPELINES": {"spidermon.contrib.scrapy.pipelines.ItemValidationPipeline": 800},
        "SPIDERMON_VALIDATION_SCHEMAS": [SCHEMA],
        "SPIDERMON_SPIDER_CLOSE_MONITORS": [CloseSuite],
    }
