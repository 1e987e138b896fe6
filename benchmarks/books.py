"""What do books of items cost? Blocks of pages with and without them take turns within one crawl. See README.md."""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.bench_crawl import LOG_FILE, MODES, CrawlFailed, environment
from benchmarks.bench_server import Site, serving
from benchmarks.bench_settings import BLOCKS_FILE
from benchmarks.bench_site import PER_LIST

BAR = 1.03
US = 1e6


@dataclass(frozen=True)
class Ratio:
    """CPU of a page with books to that of one without, its standard error, and seconds of CPU without."""

    mean: float
    error: float
    base: float

    @classmethod
    def of(cls, pairs: list[tuple[float, float]]) -> Ratio:
        """What neighbours say, one with books and one without: the machine was in the same mood for both."""
        # Of logarithms: the mean of ratios is too high by the square of their noise, which is a hundredth here.
        logs = [math.log(books / without) for books, without in pairs]
        error = stdev(logs) / math.sqrt(len(logs)) if len(logs) > 1 else math.nan
        return cls(math.exp(fmean(logs)), error, fmean(without for _, without in pairs))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.books", description=__doc__)
    parser.add_argument("--crawls", type=int, default=20)
    parser.add_argument("--pages", type=int, default=6000, help="per crawl")
    parser.add_argument("--seed", type=int, default=1, help="of the order of the blocks")
    options = parser.parse_args()
    crawls: list[list[dict[str, Any]]] = []
    try:
        with serving("pages", options.pages) as site:
            for number in range(options.crawls):
                crawls.append(crawl(site, options.pages, options.seed + number))
                print(f"crawl {number + 1} of {options.crawls}", file=sys.stderr, flush=True)
    except CrawlFailed as failure:
        print(f"FAILED: {failure}\n--- the end of its log ---\n{failure.log_tail}", file=sys.stderr)
        return 2
    print(f"{options.crawls} crawls of {options.pages} pages, seed {options.seed}, {os.cpu_count()} cores")
    return verdict(crawls)


def crawl(site: Site, pages: int, seed: int) -> list[dict[str, Any]]:
    """The blocks of one crawl in a fresh process and a fresh directory."""
    extensions = json.dumps({"benchmarks.bench_blocks.Alternation": 0})
    arguments = ["-a", f"site={site.url}", "-a", f"pages={pages}", "-a", f"seed={seed}", "-O", "items.jsonl"]
    # What is in flight as the books are switched off is missing in them: that is an error, and said so.
    settings = ["-s", f"EXTENSIONS={extensions}", "-s", "SPIDER_MODULES=benchmarks.bench_blocks"]
    books = [part for part in MODES["integrity"] if part not in ("-a", "expects=1")]
    with TemporaryDirectory(prefix="t8-bench-") as name:
        log = Path(name, LOG_FILE)
        with log.open("wb") as file:
            command = [sys.executable, "-m", "scrapy", "crawl", "blocks", *arguments, *books, *settings]
            done = subprocess.run(command, cwd=name, env=environment(), stdout=file, stderr=file, check=False)
        if done.returncode or not Path(name, BLOCKS_FILE).exists():
            raise CrawlFailed(f"the process ended with {done.returncode}", log.read_text(errors="replace"))
        found: list[dict[str, Any]] = json.loads(Path(name, BLOCKS_FILE).read_text())
    return found


def verdict(crawls: list[list[dict[str, Any]]]) -> int:
    """Print what the blocks say; 0 if the bar holds."""
    item, page = (Ratio.of([pair for blocks in crawls for pair in pairs(blocks, what)]) for what in ("item", "list"))
    for name, of in (("item", item), ("list", page)):
        print(f"{name} pages: {of.base * US:5.0f} us of CPU without books, {of.mean:.4f} +- {of.error:.4f} with them")
    # Each item has its part in a list page.
    part = page.base / PER_LIST / (item.base + page.base / PER_LIST)
    ratio = item.mean * (1 - part) + page.mean * part
    error = math.hypot(item.error * (1 - part), page.error * part)
    print(f"together: {ratio:.4f} +- {error:.4f}  <= {BAR} {'pass' if ratio <= BAR else 'FAIL'}")
    return int(ratio > BAR)


def pairs(blocks: list[dict[str, Any]], what: str) -> Iterator[tuple[float, float]]:
    """CPU seconds with books and without, of neighbours among the blocks of this kind."""
    found: dict[int, dict[bool, float]] = {}
    for block in blocks:
        if block["what"] == what:
            found.setdefault(block["number"] // 2, {})[block["books"]] = block["cpu"]
    return ((of[True], of[False]) for of in found.values() if len(of) > 1)


if __name__ == "__main__":
    sys.exit(main())
