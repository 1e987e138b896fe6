"""The settings of all generated crawls. A plan adds what it plugs in."""

from planned import settings_of

SPIDER_MODULES = ["planned"]
ADDONS = {"scrapy_t8.T8Addon": 500}
LOG_LEVEL = "INFO"
TELNETCONSOLE_ENABLED = False
REMOTE_CONTROL_ENABLED = False
WARN_ON_GENERATOR_RETURN_VALUE = False  # it has Scrapy parse the source of a callback again for each page
CONCURRENT_ITEMS = 10
RETRY_TIMES = 2
T8_RETRY_BASE = 0.02
T8_STOP_GRACE = 600
T8_EXIT_STATUS = True
globals().update(settings_of())
