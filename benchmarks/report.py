"""How long does a report take, and how much memory, of a job with a million items? See README.md."""

from __future__ import annotations

import argparse
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.bench_crawl import MAXRSS_PER_MB

BARS = {"seconds": 10.0, "peak MB": 300.0}
EVERY = {"dropped": 97, "no item": 89, "dead": 101, "waiting": 103, "never linked": 107}
"""One item in so many is missing for this reason."""


def build(directory: Path, items: int) -> None:
    """A job with so many items expected, most of them had; letters and waiting entries for some of the rest."""
    from scrapy import Request, Spider

    from scrapy_t8.core.items.expectations import expecting
    from scrapy_t8.model.attempts import AttemptHistory, ScheduledRetry
    from scrapy_t8.model.batch import CommitBatch
    from scrapy_t8.model.codec import Codec
    from scrapy_t8.model.dead_letter import DeadLetter
    from scrapy_t8.model.items import ExpectationChange, ItemKey
    from scrapy_t8.model.job import JobRecord, Ledger
    from scrapy_t8.stores.sqlite.store import SQLiteStore

    store, codec = SQLiteStore(directory / "t8"), Codec(Spider("bench"))
    store.open()
    job = JobRecord("job", "bench", {}, time.time(), ledger=Ledger())
    store.begin_job(job)
    store.begin_run(time.time(), 5)
    story = AttemptHistory()
    story.add(time.time(), "network", "timed out", charged=True)
    for begin in range(0, items, 10_000):
        batch = CommitBatch()
        for number in range(begin, min(begin + 10_000, items)):
            # As hashes are: in no order.
            key = number * 0x9E3779B97F4A7C15 % (1 << 63)
            expected = batch.expected[key] = ExpectationChange(
                f"https://example.com/car/{number}", (f"list {number % 7}",), True
            )
            why = next((why for why, every in EVERY.items() if number % every == 0), None)
            request = Request(expected.text)
            if why is None:
                expected.collected = number % 2 == 0
                batch.items.append(ItemKey(key, expected.text))
                job.ledger.exported += 1
            elif why == "dropped":
                expected.cause, expected.url = f"dropped\tPipeline: reason {number % 20}", expected.text
            elif why == "no item":
                expected.cause, expected.url = "no_item", expected.text
            elif why == "dead":
                expected.opened, expected.cause, expected.request = 1, "dead", key
                batch.buried.append(
                    DeadLetter(
                        number, b"", "http", "404 Not Found", time.time(), expected.text, fingerprint=key, job="job"
                    )
                )
                job.ledger.dead += 1
            elif why == "waiting":
                expected.opened = 1
                expecting(request, expected.text, "list", by_page=True)
                payload = codec.encode_request(request)
                batch.waiting.append(ScheduledRetry(number, time.time() + 60, "example.com", payload, story.dumps()))
        job.ledger.scraped = job.ledger.exported
        batch.tally = {("host/done", f"host-{begin // 10_000}"): 10_000}
        batch.progress = (10_000, 10_000, 0)
        store.commit(batch, job, time.time() + begin)
    store.end_run(time.time(), "shutdown", job)
    store.close()


def measure(directory: Path) -> None:
    """Write the report; print what that took, as JSON."""
    import resource

    from scrapy_t8 import write_report

    began = time.perf_counter()
    document = write_report(directory)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MAXRSS_PER_MB
    print(json.dumps({"seconds": seconds, "peak MB": peak, "missing": document["missing"]["count"]}))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure)
        return 0
    with tempfile.TemporaryDirectory(prefix="t8-bench-") as name:
        build(Path(name), options.items)
        command = [sys.executable, "-m", "benchmarks.report", "--measure", name]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        size = (Path(name) / "t8/state.db").stat().st_size >> 20
        page = (Path(name) / "report/report.html").stat().st_size >> 10
    print(f"{options.items:,} items, {found['missing']:,} missing; state file {size} MB, report.html {page} kB")
    failed = 0
    for what, bar in BARS.items():
        holds = found[what] <= bar
        failed += not holds
        print(f"{what:10}{found[what]:8.1f}  <= {bar:g} {'pass' if holds else 'FAIL'}")
    print(f"SQLite {sqlite3.sqlite_version}, Python {sys.version.split()[0]}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
