"""The Scrapy project of these tests. Which feeds there are is on the command line."""

SPIDER_MODULES = ["shop"]
ADDONS = {"scrapy_t8.T8Addon": 500}
FEED_EXPORTERS = {
    "numbered": "feed_parts.Numbered",
    "titled": "feed_parts.Titled",
    "framed": "feed_parts.Framed",
}
FEED_STORAGES = {"remote": "feed_parts.RemoteStorage"}
CONCURRENT_REQUESTS = 1
LOG_LEVEL = "INFO"
EXTENSIONS = {"tests.support.probe.StatsFile": 900}
LOG_FORMATTER = "feed_parts.Quiet"
TELNETCONSOLE_ENABLED = False
WARN_ON_GENERATOR_RETURN_VALUE = False  # it has Scrapy parse the source of a callback again for each page

# Commits follow the work and not the clock, so that each crawl has many, always at the same places.
T8_COMMIT_INTERVAL = 60
T8_COMMIT_PAGES = 2
T8_STOP_GRACE = 600  # on a slow machine, too, pages in flight come to their end
