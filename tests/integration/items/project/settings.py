"""The settings of the spiders here."""

SPIDER_MODULES = ["healing", "given", "batching"]
ADDONS = {"scrapy_t8.T8Addon": 500}
EXTENSIONS = {"tests.support.probe.StatsFile": 900}
TELNETCONSOLE_ENABLED = False
CONCURRENT_ITEMS = 10
ITEM_PIPELINES = {"healing.Choosy": 300}
T8_ITEM_KEY = "id"
URLLENGTH_LIMIT = 0  # pages stand in URLs
T8_STOP_GRACE = 600  # on a slow machine, too, pages in flight come to their end
