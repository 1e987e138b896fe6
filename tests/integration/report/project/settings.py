"""The settings of the shop."""

SPIDER_MODULES = ["shop"]
ADDONS = {"scrapy_t8.T8Addon": 500}
TELNETCONSOLE_ENABLED = False
ITEM_PIPELINES = {"shop.Choosy": 300}
CONCURRENT_REQUESTS_PER_DOMAIN = 4
LOG_LEVEL = "INFO"
EXTENSIONS = {"tests.support.probe.StatsFile": 900}
CONCURRENT_ITEMS = 10

T8_ITEM_KEY = "id"
T8_RETRY_BASE = 0.05
T8_RETRY_CAP = 0.1
T8_BREAKER_FAILURES = 0
T8_STOP_GRACE = 600  # on a slow machine, too, pages in flight come to their end
