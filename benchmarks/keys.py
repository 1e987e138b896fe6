"""Are items still told apart quickly, and in little memory, when a job has had ten million of them? See README.md."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BARS = {
    "memory_mb": ("memory of the process grows by, MB", 50.0),
    "open_s": ("the books are open in, s", 1.0),
    "item_us": ("an item from the pipeline to its commit, us of CPU", 100.0),
}
PER_COMMIT = 30


def build(directory: Path, keys: int) -> None:
    """A job that has had so many items, each with a key."""
    from scrapy_t8.core.items.keys import key_bytes
    from scrapy_t8.model.batch import CommitBatch
    from scrapy_t8.model.items import ItemKey
    from scrapy_t8.model.job import JobRecord
    from scrapy_t8.stores.sqlite.store import SQLiteStore
    from scrapy_t8.utils.hashes import hash63

    store, job = SQLiteStore(directory / "t8"), JobRecord("job", "bench", {}, 0.0)
    store.open()
    store.begin_job(job)
    store.begin_run(0.0, 5)
    # In the order of the table, or it would take an hour.
    hashes = sorted(hash63(key_bytes(str(number))) for number in range(keys))
    for begin in range(0, keys, 100_000):
        items = [ItemKey(key, f"{key % keys}") for key in hashes[begin : begin + 100_000]]
        job.ledger.scraped = job.ledger.exported = begin + len(items)
        store.commit(CommitBatch(items=items), job, 0.0)
    store.end_run(0.0, "shutdown", job)
    store.close()


async def measure(directory: Path, keys: int, count: int) -> dict[str, float]:
    """Go on with the job: every other one of *count* items was there before."""
    import psutil

    from benchmarks.bench_job import new_crawler
    from scrapy_t8.core.items.tracker import Duplicate
    from scrapy_t8.core.job.opening import open_job
    from scrapy_t8.core.page import leave_page

    process, rng = psutil.Process(), random.Random(1)
    crawler = new_crawler(directory, "bench", T8_ITEM_KEY="sku", T8_COMMIT_PAGES=count)
    before, began = process.memory_info().rss, time.perf_counter()
    job = open_job(crawler)
    opened, items = time.perf_counter() - began, job.items
    began = time.process_time()
    for number in range(1, count + 1):
        item = {"sku": str(rng.randrange(keys) if number % 2 else keys + number), "name": "a name"}
        page = job.frontier.new_page(None)
        page.enter()
        if items.ledger.duplicate_of(item, page) is None:
            items.item_scraped(item)
        else:
            items.item_dropped(item, None, Duplicate("a duplicate"))
        leave_page()
        job.end(page)
        if number % PER_COMMIT == 0:
            job.commit()
    job.flush()
    spent = time.process_time() - began
    grown = process.memory_info().rss - before
    found = job.record.ledger.duplicate
    await job.close("shutdown")
    assert found == count // 2, f"{found} of {count // 2} duplicates were found"
    return {"memory_mb": grown / 2**20, "open_s": opened, "item_us": spent / count * 1e6}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.keys", description=__doc__)
    parser.add_argument("--keys", type=int, default=10_000_000)
    parser.add_argument("--items", type=int, default=20_000, help="of the run that is measured")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(asyncio.run(measure(options.measure, options.keys, options.items))))
        return 0
    with tempfile.TemporaryDirectory(prefix="t8-bench-") as name:
        build(Path(name), options.keys)
        sizes = ["--keys", str(options.keys), "--items", str(options.items)]
        command = [sys.executable, "-m", "benchmarks.keys", "--measure", name, *sizes]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        size = (Path(name) / "t8/state.db").stat().st_size >> 20
    print(f"{options.keys:,} keys, state file {size} MB; {options.items:,} items, every other one a duplicate")
    for what, (told, bar) in BARS.items():
        print(f"{told:<52}{found[what]:8.2f}  <= {bar:g} {'pass' if found[what] <= bar else 'FAIL'}")
    print(f"SQLite {sqlite3.sqlite_version}, Python {sys.version.split()[0]}")
    return int(any(found[what] > bar for what, (_, bar) in BARS.items()))


if __name__ == "__main__":
    sys.exit(main())
