"""Are items still told apart quickly, and in little memory, when a job has had ten million of them? See README.md."""

from __future__ import annotations

import argparse
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
ITEMS, PER_COMMIT = 20_000, 30


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


def measure(directory: Path, keys: int) -> dict[str, float]:
    """Go on with the job: every other item was there before."""
    import psutil

    from scrapy_t8.config.settings import Config
    from scrapy_t8.core.items.expectations import Expectations
    from scrapy_t8.core.items.keys import ItemKeys
    from scrapy_t8.core.items.ledger import DUPLICATE, EXPORTED
    from scrapy_t8.core.items.statistics import open_books
    from scrapy_t8.core.job.page_outputs import PageOutputs
    from scrapy_t8.core.page import Page
    from scrapy_t8.model.batch import CommitBatch
    from scrapy_t8.model.codec import Codec
    from scrapy_t8.stores.sqlite.store import SQLiteStore
    from scrapy_t8.utils.hashes import hash63

    process, rng = psutil.Process(), random.Random(1)
    before, began = process.memory_info().rss, time.perf_counter()
    store = SQLiteStore(directory / "t8")
    store.open()
    recovery = store.begin_run(0.0, 5)
    books = open_books(store, recovery.job, recovery.run, Config(), ItemKeys("sku"), Expectations(Codec(), hash63))
    opened, outputs = time.perf_counter() - began, PageOutputs(books.items)
    began = time.process_time()
    for number in range(ITEMS):
        item = {"sku": str(rng.randrange(keys) if number % 2 else keys + number), "name": "a name"}
        page = Page(number + 1)
        page.entered = page.item = page.kept = 1
        is_duplicate = books.items.duplicate_of(item, page) is not None
        note = books.items.note(DUPLICATE if is_duplicate else EXPORTED, item, page, None, [])
        page.note(note, directory)
        outputs.add(page)
        if len(outputs) == PER_COMMIT or number == ITEMS - 1:
            for settled in outputs.drain(None):
                books.settle(settled)
            batch = CommitBatch()
            books.fill(batch)
            store.commit(batch, recovery.job, 0.0)
    spent = time.process_time() - began
    grown = process.memory_info().rss - before
    found = recovery.job.ledger.duplicate
    store.end_run(0.0, "shutdown", recovery.job)
    store.close()
    assert found == ITEMS // 2, f"{found} of {ITEMS // 2} duplicates were found"
    return {"memory_mb": grown / 2**20, "open_s": opened, "item_us": spent / ITEMS * 1e6}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.keys", description=__doc__)
    parser.add_argument("--keys", type=int, default=10_000_000)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.keys)))
        return 0
    with tempfile.TemporaryDirectory(prefix="t8-bench-") as name:
        build(Path(name), options.keys)
        command = [sys.executable, "-m", "benchmarks.keys", "--measure", name, "--keys", str(options.keys)]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        size = (Path(name) / "t8/state.db").stat().st_size >> 20
    print(f"{options.keys:,} keys, state file {size} MB; {ITEMS:,} items, every other one a duplicate")
    for what, (told, bar) in BARS.items():
        print(f"{told:<52}{found[what]:8.2f}  <= {bar:g} {'pass' if found[what] <= bar else 'FAIL'}")
    print(f"SQLite {sqlite3.sqlite_version}, Python {sys.version.split()[0]}")
    return int(any(found[what] > bar for what, (_, bar) in BARS.items()))


if __name__ == "__main__":
    sys.exit(main())
