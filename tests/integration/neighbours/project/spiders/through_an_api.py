"""All pages are fetched through Zyte API, which is the site under test here."""

from __future__ import annotations

from typing import ClassVar

import scrapy_zyte_api  # noqa: F401

from tests.support.probe import SITE

from .base import ListsSpider


class ThroughAnApiSpider(ListsSpider):
    name = "through_an_api"
    custom_settings: ClassVar = {
        "ZYTE_API_KEY": "key",
        "ZYTE_API_URL": f"{SITE}/",
        "ZYTE_API_TRANSPARENT_MODE": True,
    }
