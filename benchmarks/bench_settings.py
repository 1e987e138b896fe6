"""The Scrapy settings that every mode shares; what makes a mode is added on the command line."""

METER_FILE = "meter.json"
BLOCKS_FILE = "blocks.json"

SPIDER_MODULES = ["benchmarks.bench_spiders"]
EXTENSIONS = {"benchmarks.bench_spiders.Meter": 0}
# The place of T8's first extension, so that both hear of the opened spider at the same moment.
FREEZER = {"benchmarks.bench_spiders.Freezer": -1000}

CONCURRENT_REQUESTS = 16
# All pages are on one host, where the default would halve the above.
CONCURRENT_REQUESTS_PER_DOMAIN = 16
DOWNLOAD_DELAY = 0
AUTOTHROTTLE_ENABLED = False
TELNETCONSOLE_ENABLED = False
LOG_LEVEL = "INFO"
