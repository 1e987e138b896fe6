"""Crawls two spiders in one process, each with a job and feeds of its own."""

from pathlib import Path

import shop
from scrapy.crawler import CrawlerProcess
from scrapy.utils.project import get_project_settings


class Second(shop.ShopSpider):
    name = "second"


if __name__ == "__main__":
    process = CrawlerProcess(get_project_settings())
    for spider in (shop.ShopSpider, Second):
        spider.custom_settings = {
            "FEEDS": {f"{spider.name}.jsonl": {"format": "jsonlines"}, Path(f"{spider.name}.json"): {"format": "json"}},
            "JOBDIR": f"job-{spider.name}",
            "T8_DURABILITY": "power",
        }
        process.crawl(spider)
    process.start()
