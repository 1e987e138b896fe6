"""Collectors of the catalogue that are plain asyncio, with the service of scrapy_t8 in the place of Scrapy."""
