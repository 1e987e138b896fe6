"""The settings of the spider here."""

SPIDER_MODULES = ["cars"]
ADDONS = {"scrapy_t8.T8Addon": 500}
EXTENSIONS = {"tests.support.probe.StatsFile": 900}
TELNETCONSOLE_ENABLED = False
CONCURRENT_ITEMS = 10
CONCURRENT_REQUESTS = 4
RETRY_TIMES = 1
LOG_LEVEL = "INFO"

T8_ITEM_KEY = "id"
T8_RETRY_BASE = 3600
T8_RETRY_CAP = 3600
T8_RETRY_JITTER = 0
T8_RETRY_WAIT = 0
T8_BREAKER_FAILURES = 0
T8_STOP_GRACE = 600  # on a slow machine, too, pages in flight come to their end
