"""The spiders of the benchmarks for Crawlee, with its state in ``./storage``: ``kills_crawlee.py SITE``."""

# mypy: allow-untyped-decorators

from __future__ import annotations

import asyncio
import sys

from crawlee import ConcurrencySettings, service_locator
from crawlee.configuration import Configuration
from crawlee.crawlers import ParselCrawler, ParselCrawlingContext


async def main(site: str) -> None:
    """Crawl *site*. A run goes on with the request queue and the dataset that the last run has left."""
    service_locator.set_configuration(Configuration(purge_on_start=False))
    crawler = ParselCrawler(concurrency_settings=ConcurrencySettings(desired_concurrency=16, max_concurrency=16))

    @crawler.router.default_handler
    async def page(context: ParselCrawlingContext) -> None:
        if sku := context.selector.css("p.sku::text").get():
            name = context.selector.css("h1::text").get()
            await context.push_data({"sku": sku, "name": name, "url": context.request.url})
        await context.enqueue_links(selector="a.product")
        await context.enqueue_links(selector="a.next")

    await crawler.run([site + "/"])


asyncio.run(main(*sys.argv[1:]))
