"""The spider of the example project for Crawlee, with its state on disk: ``kills_crawlee.py BASE FOLDER``."""

from __future__ import annotations

import asyncio
import sys

from crawlee import ConcurrencySettings, service_locator
from crawlee.configuration import Configuration
from crawlee.crawlers import ParselCrawler, ParselCrawlingContext


async def main(base: str, folder: str) -> None:
    """Crawl the cars at *base*. A run goes on with the request queue and the dataset that it finds in *folder*."""
    service_locator.set_configuration(Configuration(storage_dir=folder, purge_on_start=False))
    crawler = ParselCrawler(concurrency_settings=ConcurrencySettings(desired_concurrency=8, max_concurrency=8))

    @crawler.router.default_handler
    async def page(context: ParselCrawlingContext) -> None:
        if "/cars/" not in context.request.url:
            await context.enqueue_links(selector="li.car a")
            await context.enqueue_links(selector="a[rel=next]")
            return
        await context.push_data(car(context))

    await crawler.run([base + "/"])


def car(context: ParselCrawlingContext) -> dict[str, str | int | float | None]:
    """Return the item of a car's page, as the example spider reads it."""
    page, url = context.selector, context.request.url

    def figure(name: str) -> float | None:
        text = page.css(f"data[itemprop={name}]::attr(value)").get()
        return None if text is None else float(text)

    horsepower = figure("horsepower")
    return {
        "slug": url.rpartition("/")[2],
        "url": url,
        "name": page.css("h1::text").get(""),
        "origin": page.css("[itemprop=origin]::text").get(""),
        "horsepower": None if horsepower is None else int(horsepower),
        **{name: int(figure(name) or 0) for name in ("year", "cylinders", "weight")},
        **{name: figure(name) for name in ("miles_per_gallon", "displacement", "acceleration")},
    }


asyncio.run(main(*sys.argv[1:]))
