"""The settings of all crawls here; what is different in one is on its command line."""

SPIDER_MODULES = ["spiders"]
ADDONS = {"scrapy_t8.T8Addon": 500}
EXTENSIONS = {"tests.support.probe.StatsFile": 900}
LOG_LEVEL = "INFO"
CONCURRENT_ITEMS = 10  # Scrapy starts as many tasks for each page: a hundred of them cost more than the page
TELNETCONSOLE_ENABLED = False
WARN_ON_GENERATOR_RETURN_VALUE = False  # it has Scrapy parse the source of a callback again for each page
RETRY_TIMES = 2
REMOTE_CONTROL_ENABLED = False
T8_STOP_GRACE = 600  # on a slow machine, too, pages in flight come to their end
