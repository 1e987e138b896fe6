"""What all scenes have in common; everything else is on the command line of a run."""

SPIDER_MODULES = ["scenes.spiders"]
EXTENSIONS = {"scenes.meter.Meter": 900}
LOG_LEVEL = "INFO"
TELNETCONSOLE_ENABLED = False
RETRY_TIMES = 2
REMOTE_CONTROL_ENABLED = False
