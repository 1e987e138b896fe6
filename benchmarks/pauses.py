"""For how long does the event loop stand still, and how late do retries come? See README.md."""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

BARS = {"validation": 0.2, "huge page": 1.0, "retries": 0.5}
"""Seconds."""
BEAT = 0.01
SPIDER = """
import asyncio, json, os, statistics, sys, time
from scrapy import Request, Spider
from scrapy.crawler import AsyncCrawlerProcess
from scrapy_t8 import RetryPage

class HugePage(Spider):
    name = "huge_page"
    async def start(self):
        yield Request("data:,root")
    def parse(self, response):
        self.longest, heart = 0.0, asyncio.ensure_future(self.beat())
        for number in range(OUTPUTS):
            yield Request(f"data:,{number}", self.child, dont_filter=True)
        heart.cancel()
        self.crawler.engine.close_spider(self, str(self.longest))
    def child(self, response):
        yield {"page": response.text}
    async def beat(self):
        while True:
            before = time.perf_counter()
            await asyncio.sleep(BEAT)
            self.longest = max(self.longest, time.perf_counter() - before - BEAT)

class Retries(Spider):
    name = "retries"
    late = []
    async def start(self):
        for number in range(100):
            yield Request(f"data:,{number}", cb_kwargs={"due": None})
    def parse(self, response, due):
        if not response.meta.get("retry_times"):
            response.request.cb_kwargs["due"] = time.time() + 0.5
            raise RetryPage("not yet", delay=0.5)
        self.late.append(time.time() - due)

settings = {"ADDONS": {"scrapy_t8.T8Addon": 500}, "JOBDIR": "job", "LOG_LEVEL": "ERROR", "TELNETCONSOLE_ENABLED": False}
settings |= {"T8_RETRY_JITTER": 0, "FEEDS": {"items.jsonl": {"format": "jsonlines"}}}
process = AsyncCrawlerProcess(settings)
crawler = process.create_crawler({"huge page": HugePage, "retries": Retries}[sys.argv[1]])
process.crawl(crawler)
process.start()
stats = crawler.stats.get_stats()
print(statistics.median(Retries.late) if Retries.late else stats["finish_reason"])
"""


def of_validation(directory: Path, tasks: int) -> float:
    """Return the longest pause of the loop, while the records of a service are validated."""
    from scrapy_t8 import T8ResumeAndRetry

    async def longest_pause(service: Any) -> float:
        task = asyncio.ensure_future(service.validate())
        longest, last = 0.0, time.monotonic()
        while not task.done():
            await asyncio.sleep(0)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        return longest

    with T8ResumeAndRetry({"state_dir": str(directory), "enable_auto_retry": False, "log_level": "ERROR"}) as service:
        with service.state_manager.batch():
            for number in range(tasks):
                service.add_failed_task("DETAIL_COLLECTION", str(number), "")
        return asyncio.run(longest_pause(service))


def of_crawl(directory: Path, kind: str, outputs: int) -> float:
    """Return what a crawl in a process of its own has measured."""
    code = f"OUTPUTS, BEAT = {outputs}, {BEAT}\n{SPIDER}"
    done = subprocess.run([sys.executable, "-c", code, kind], cwd=directory, capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pauses", description=__doc__)
    parser.add_argument("--tasks", type=int, default=5000)
    parser.add_argument("--outputs", type=int, default=300_000)
    options = parser.parse_args()
    found = {}
    for name in BARS:
        with tempfile.TemporaryDirectory() as directory:
            if name == "validation":
                found[name] = of_validation(Path(directory), options.tasks)
            else:
                found[name] = of_crawl(Path(directory), name, options.outputs)
    print(json.dumps({name: round(seconds, 3) for name, seconds in found.items()}))
    too_long = [name for name, seconds in found.items() if seconds > BARS[name]]
    for name in too_long:
        print(f"{name}: {found[name]:.3f} s, the bar is {BARS[name]} s")
    return bool(too_long)


if __name__ == "__main__":
    sys.exit(main())
