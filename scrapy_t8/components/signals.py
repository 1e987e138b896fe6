"""The Scrapy signals of T8."""

from __future__ import annotations

t8_alert = object()
"""For each alert at the end of a run, and once for each while the crawl runs (``alert["running"]`` is true then).

Arguments: ``alert`` (a dict as in the report), ``spider``.
"""
