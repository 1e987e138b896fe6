SPIDER_MODULES = ["mending", "given"]
ADDONS = {"scrapy_t8.T8Addon": 500}
TELNETCONSOLE_ENABLED = False
ITEM_PIPELINES = {"mending.Choosy": 300}
T8_ITEM_KEY = "id"
URLLENGTH_LIMIT = 0  # pages stand in URLs
