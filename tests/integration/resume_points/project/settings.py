"""The settings of the spiders' project."""

SPIDER_MODULES = ["spiders"]
ADDONS = {"scrapy_t8.T8Addon": 500}
TELNETCONSOLE_ENABLED = False
T8_RETRY_BASE = 0.3
T8_RETRY_JITTER = 0
T8_BREAKER_FAILURES = 0
