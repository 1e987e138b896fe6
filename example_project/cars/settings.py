"""The settings of the project; one line of them is about surviving kill -9."""

BOT_NAME = "cars"
SPIDER_MODULES = ["cars.spiders"]
NEWSPIDER_MODULE = "cars.spiders"

ROBOTSTXT_OBEY = False
CONCURRENT_REQUESTS_PER_DOMAIN = 8
FEED_EXPORT_ENCODING = "utf-8"
LOG_LEVEL = "INFO"

ADDONS = {"scrapy_t8.T8Addon": 500}
