"""The settings of the spiders' project."""

SPIDER_MODULES = ["spiders"]
ADDONS = {"scrapy_t8.T8Addon": 500}
EXTENSIONS = {"tests.support.probe.StatsFile": 900}
TELNETCONSOLE_ENABLED = False
WARN_ON_GENERATOR_RETURN_VALUE = False  # it has Scrapy parse the source of a callback again for each page
CONCURRENT_ITEMS = 10
T8_RETRY_BASE = 0.3
T8_RETRY_JITTER = 0
T8_BREAKER_FAILURES = 0
T8_STOP_GRACE = 600  # on a slow machine, too, pages in flight come to their end
