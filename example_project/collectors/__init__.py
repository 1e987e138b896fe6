"""Collectors of the catalogue in plain asyncio, with the service of scrapy_t8 in place of Scrapy."""
