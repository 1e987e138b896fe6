"""Settings that name every component of T8, in the place of the add-on."""

from __future__ import annotations

from settings import *  # noqa: F403

ADDONS: dict[str, int] = {}
SCHEDULER = "scrapy_t8.T8Scheduler"
DUPEFILTER_CLASS = "scrapy_t8.T8DupeFilter"
SPIDER_MIDDLEWARES = {"scrapy_t8.T8StartMiddleware": 1}
EXTENSIONS = {
    "scrapy_t8.T8Checkpoint": -1000,
    "scrapy_t8.T8FeedExporter": 0,
    "scrapy.extensions.feedexport.FeedExporter": None,
    "tests.support.probe.StatsFile": 900,
}
