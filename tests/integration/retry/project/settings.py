"""The settings of the spider here: quick retries."""

SPIDER_MODULES = ["failing"]
ADDONS = {"scrapy_t8.T8Addon": 500}
EXTENSIONS = {"tests.support.probe.StatsFile": 900}
ITEM_PIPELINES = {"failing.Pipeline": 1}
TELNETCONSOLE_ENABLED = False
CONCURRENT_ITEMS = 10
T8_RETRY_BASE = 0.2
T8_RETRY_CAP = 1
T8_BREAKER_PROBE = 0.5
T8_BREAKER_PROBE_CAP = 2
