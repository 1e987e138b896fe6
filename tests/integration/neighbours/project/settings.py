"""The settings of all crawls here; what a neighbour needs is with its spider."""

SPIDER_MODULES = ["spiders"]
EXTENSIONS = {"tests.support.probe.StatsFile": 900}
LOG_LEVEL = "INFO"
CONCURRENT_REQUESTS = 4
TELNETCONSOLE_ENABLED = False
SPIDER_LOADER_WARN_ONLY = True  # a spider whose neighbour is not installed
REMOTE_CONTROL_ENABLED = False
T8_STOP_GRACE = 600  # on a slow machine, too, pages in flight come to their end
