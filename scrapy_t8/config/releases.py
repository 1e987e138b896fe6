"""The releases of the software that a run uses."""

from __future__ import annotations

import sys

import scrapy

from scrapy_t8.utils import __version__

KEPT = "releases"  # The store keeps those of the last run under this name, for reports


def releases() -> dict[str, str]:
    """Return the releases of Scrapy, scrapy_t8 and Python, by their names."""
    return {"Scrapy": scrapy.__version__, "scrapy_t8": __version__, "Python": ".".join(map(str, sys.version_info[:3]))}
