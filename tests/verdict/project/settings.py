"""The settings of all generated crawls. A plan adds what it plugs in."""

from planned import settings_of

SPIDER_MODULES = ["planned"]
ADDONS = {"scrapy_t8.T8Addon": 500}
LOG_LEVEL = "INFO"
TELNETCONSOLE_ENABLED = False
REMOTE_CONTROL_ENABLED = False
CONCURRENT_ITEMS = 10
RETRY_TIMES = 2
T8_RETRY_BASE = 0.02
T8_STOP_GRACE = 600
T8_EXIT_STATUS = True
globals().update(settings_of())
