"""The settings of the spider here."""

SPIDER_MODULES = ["cars"]
ADDONS = {"scrapy_t8.T8Addon": 500}
CONCURRENT_ITEMS = 10
TELNETCONSOLE_ENABLED = False
T8_COMMIT_INTERVAL = 0.01
T8_ITEM_KEY = "page"
