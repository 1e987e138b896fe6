"""Imported by the process that crawls are forked off: what each of them would have to import by itself.

Importing reads neither the environment, nor the arguments, nor the working directory; and it installs no reactor.
"""

from __future__ import annotations

import gc
import sys
import warnings
from contextlib import suppress
from functools import cache
from importlib import import_module, metadata
from pkgutil import walk_packages

PACKAGES = (
    *("scrapy.commands", "scrapy.core", "scrapy.downloadermiddlewares", "scrapy.extensions", "scrapy.pipelines"),
    *("scrapy.spidermiddlewares", "scrapy.spiders"),
    *("scrapy_t8.components", "scrapy_t8.config", "scrapy_t8.core", "scrapy_t8.model", "scrapy_t8.pipelines"),
    *("scrapy_t8.report", "scrapy_t8.service", "scrapy_t8.spiders", "scrapy_t8.stores", "scrapy_t8.utils"),
    "scrapy_t8.validation",
)
MODULES = (
    *("scrapy.cmdline", "scrapy.contracts", "scrapy.dupefilters", "scrapy.exporters", "scrapy.linkextractors"),
    *("scrapy.pqueues", "scrapy.squeues", "scrapy.utils.engine", "scrapy_t8.addon"),
    *("aiohttp", "attrs", "jinja2", "PIL.Image", "psutil", "pydantic", "rich.table", "tldextract"),
)


def preload() -> None:
    # Scrapy reads the metadata of all that is installed for each command: a fifth of what a crawl takes to begin.
    metadata.entry_points, metadata.version = cache(metadata.entry_points), cache(metadata.version)
    for package in PACKAGES:
        for module in walk_packages(import_module(package).__path__, f"{package}."):
            with suppress(ImportError):
                import_module(module.name)
    for name in MODULES:
        with suppress(ImportError):
            import_module(name)
    metadata.entry_points(group="scrapy.commands")
    import_module("scrapy.utils.versions").get_versions()
    assert "twisted.internet.reactor" not in sys.modules


with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    preload()
# A collection in a crawl that touched all of this would copy all of its memory.
gc.collect()
gc.freeze()
