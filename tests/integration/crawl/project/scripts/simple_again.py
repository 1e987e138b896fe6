"""Crawls one spider, in the job directory of ``scrapy crawl``."""

from __future__ import annotations

from scrapy.crawler import CrawlerProcess
from scrapy.utils.project import get_project_settings

if __name__ == "__main__":
    settings = get_project_settings()
    settings.set("JOBDIR", "job")
    process = CrawlerProcess(settings)
    process.crawl("simple")
    process.start()
