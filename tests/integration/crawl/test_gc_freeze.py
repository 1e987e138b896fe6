"""The garbage collector skips what exists when a crawl begins, until the crawl ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.process import run

pytestmark = pytest.mark.slow

PROGRAM = """
import gc, json, sys
import scrapy
from scrapy.crawler import AsyncCrawlerProcess

counts = []

class Counting(scrapy.Spider):
    name = "counting"
    async def start(self):
        counts.append(gc.get_freeze_count())
        yield {"id": 1}

settings = {"ADDONS": {"scrapy_t8.T8Addon": 500}, "LOG_LEVEL": "ERROR", "TELNETCONSOLE_ENABLED": False}
settings["T8_GC_FREEZE"] = sys.argv[1]
process = AsyncCrawlerProcess(settings)
for number in range(2):
    crawler = process.create_crawler(Counting)
    crawler.settings.set("JOBDIR", f"job-{number}", "cmdline")
    process.crawl(crawler)
process.start()
print(json.dumps([*counts, gc.get_freeze_count()]))
"""


@pytest.mark.parametrize("is_on", [True, False])
def test_two_crawls_at_once(tmp_path: Path, is_on: bool) -> None:
    done = run("-c", PROGRAM, str(is_on), cwd=tmp_path, check=True)
    assert not done.stderr
    *during, after = json.loads(done.stdout)
    assert len(during) == 2
    assert all(count > 10_000 for count in during) if is_on else not any(during)
    assert after < 1000
