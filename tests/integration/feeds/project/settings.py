"""The Scrapy project of these tests. Whether the add-on is on, and which feeds there are, the command line says."""

SPIDER_MODULES = ["shop"]
FEED_EXPORTERS = {
    "numbered": "shop_parts.Numbered",
    "titled": "shop_parts.Titled",
    "framed": "shop_parts.Framed",
}
FEED_STORAGES = {"shelf": "shop_parts.Shelf"}
CONCURRENT_REQUESTS = 1
LOG_LEVEL = "INFO"
LOG_FORMATTER = "shop_parts.Quiet"
TELNETCONSOLE_ENABLED = False

# Commits follow the work and not the clock, so that each crawl has many, always at the same places.
T8_COMMIT_INTERVAL = 5
T8_COMMIT_PAGES = 2
