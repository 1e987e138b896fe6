"""The Scrapy signals of T8."""

from __future__ import annotations

t8_alert = object()
"""For each alert at the end of a run, and once for each while the crawl runs (``alert["running"]`` is true then).

Arguments: ``alert`` (a dict as in the report), ``spider``.
"""

t8_run_ended = object()
"""Once for each run that ends by itself or by one signal, when the verdict and all statistics of the job are there.

Scrapy sends ``spider_closed`` before: its handlers run while the report is not yet written.
Arguments: ``report`` (the report as a dict), ``spider``.
"""
