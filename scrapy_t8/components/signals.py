"""The Scrapy signals of T8."""

from __future__ import annotations

t8_alert = object()
"""At the end of a run, for each alert. Arguments: ``alert`` (a dict as in the report), ``spider``."""
