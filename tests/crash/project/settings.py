"""The settings of all crash tests; what is different in one is on its command line."""

SPIDER_MODULES = ["torture_spider"]
ADDONS = {"scrapy_t8.T8Addon": 500}
LOG_LEVEL = "INFO"
TELNETCONSOLE_ENABLED = False
WARN_ON_GENERATOR_RETURN_VALUE = False  # it has Scrapy parse the source of a callback again for each page
CONCURRENT_ITEMS = 20  # as many tasks are started for each page, and no page but one has more items
RETRY_TIMES = 2
T8_RETRY_BASE = 0.05
T8_STOP_GRACE = 600  # on a slow machine, too, pages in flight come to their end
