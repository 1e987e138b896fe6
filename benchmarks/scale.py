"""Does a long crawl stay cheap? Open and work on a job with millions of seen and pending requests.

``python -m benchmarks.scale`` builds the job (in a process of its own, some minutes for the full size), then measures
in a fresh process: memory, the time until a resume is ready, the CPU of a pop plus its settling, the commits.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

BARS = {
    "memory_mb": ("memory of the process grows by, MB", 100.0),
    "resume_s": ("a resume is ready in, s", 1.0),
    "page_us": ("a pop plus its settling, us of CPU", 150.0),
    "longest_ms": ("longest commit, ms, median of the runs", 25.0),
}
PER_COMMIT = 10
LINKS = 10


def build(directory: Path, seen: int, pending: int) -> None:
    """A job as a long crawl leaves it."""
    from scrapy import Request

    from scrapy_t8.model.batch import CommitBatch
    from scrapy_t8.model.codec import Codec
    from scrapy_t8.model.entry import entry_id
    from scrapy_t8.model.job import JobRecord, Ledger
    from scrapy_t8.stores.sqlite.store import SQLiteStore

    rng = random.Random(1)
    store, job = SQLiteStore(directory / "t8"), JobRecord("job", "scale", {}, 0.0)
    store.open()
    store.begin_job(job)
    store.begin_run(0.0, 5)
    queue = store.new_queue("/host/0", "host")
    fingerprints = sorted(rng.getrandbits(63) for _ in range(seen))
    for start in range(0, seen, 200_000):
        store.commit(CommitBatch(seen=fingerprints[start : start + 200_000]), job, 0.0)
    codec = Codec()

    def entry(number: int) -> tuple[int, bytes, str | None]:
        request = Request(f"http://host/page/{number}", meta={"depth": 3})
        return entry_id(queue.id, number + 1), codec.encode_request(request), None

    for start in range(0, pending, 50_000):
        numbers = range(start, min(start + 50_000, pending))
        queue.stored = numbers.stop
        store.commit(CommitBatch(added=[entry(number) for number in numbers], queues=[queue]), job, 0.0)
    job.next_seq, job.ledger = pending + 1, Ledger(admitted=pending)
    store.end_run(0.0, "shutdown", job)
    store.close()


async def measure(directory: Path, pages: int) -> dict[str, float]:
    """One resumed run of it: open, then pages with links, ten pages a commit."""
    from scrapy import Request

    from benchmarks.bench_job import new_crawler
    from scrapy_t8.core.frontier.queues import LifoQueue
    from scrapy_t8.core.job.opening import open_job
    from scrapy_t8.core.page import leave_page

    crawler = new_crawler(directory, "scale", T8_COMMIT_PAGES=pages)
    before, began = memory(), time.perf_counter()
    job = open_job(crawler)
    frontier, seen = job.frontier, job.frontier.seen
    queue = LifoQueue(frontier, "/host/0", lambda request: "host")
    first = queue.pop()
    resume = time.perf_counter() - began
    assert first is not None
    commits: list[float] = []

    def commit() -> None:
        start = time.perf_counter()
        if job.commit():  # else the crawl goes on while the store tidies up
            commits.append(time.perf_counter() - start)

    def work(links: int, name: str) -> float:
        """CPU seconds for the pages with *links* new links each."""
        start = time.process_time()
        for done in range(1, pages + 1):
            request = queue.pop()
            assert request is not None
            page = frontier.leave(request)
            assert page is not None
            leave_page()
            for link in range(links):
                child = Request(f"http://host/{name}/{job.recovery.run}/{done}/{link}")
                key = job.fingerprint(child)
                if key not in seen:
                    seen.add(key)
                    queue.push(child)
            job.end(page)
            if done % PER_COMMIT == 0:
                commit()
        job.flush()
        return time.process_time() - start

    bare = work(0, "bare")
    linked = work(LINKS, "linked")
    grown = memory() - before
    await job.close("shutdown")
    return {
        "memory_mb": grown,
        "resume_s": resume,
        "page_us": bare / pages * 1e6,
        "longest_ms": max(commits) * 1e3,
        "commit_median_ms": median(commits) * 1e3,
        "link_us": (linked - bare) / pages / LINKS * 1e6,
    }


def memory() -> float:
    """Resident size of this process in MB, now."""
    import psutil

    size: int = psutil.Process().memory_info().rss
    return size / 2**20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seen", type=int, default=10_000_000)
    parser.add_argument("--pending", type=int, default=1_000_000)
    parser.add_argument("--pages", type=int, default=5000, help="without links, and as many with links")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--dir", type=Path, help="build the job here, or use the one that is here already")
    parser.add_argument("--step", choices=["build", "measure"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step == "build":
        build(options.dir, options.seen, options.pending)
        return 0
    if options.step == "measure":
        print(json.dumps(asyncio.run(measure(options.dir, options.pages))))
        return 0
    with tempfile.TemporaryDirectory(prefix="t8-scale-") as name:
        directory = options.dir or Path(name, "job")
        return report(directory, options, lambda step: run(step, directory, options))


def run(step: str, directory: Path, options: argparse.Namespace) -> str:
    """One step in a process of its own, so that what it leaves in memory disturbs nobody."""
    sizes = [f"--{size}={getattr(options, size)}" for size in ("seen", "pending", "pages")]
    command = [sys.executable, "-m", "benchmarks.scale", "--step", step, "--dir", str(directory), *sizes]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def report(directory: Path, options: argparse.Namespace, step: Callable[[str], str]) -> int:
    file = directory / "t8/state.db"
    if not file.exists():
        began = time.perf_counter()
        step("build")
        print(f"built: {options.seen:,} seen, {options.pending:,} pending, in {time.perf_counter() - began:.0f} s")
    print(f"state file: {file.stat().st_size / 2**20:.0f} MB")
    runs = [json.loads(step("measure")) for _ in range(options.runs)]
    passed = True
    for name, (told, bar) in BARS.items():
        figure = median(run[name] for run in runs)
        passed &= figure <= bar
        spread = f"{min(r[name] for r in runs):.2f} .. {max(r[name] for r in runs):.2f}"
        print(f"{told:42} {figure:9.2f}  ({spread})  <= {bar:g} {'pass' if figure <= bar else 'FAIL'}")
    for name, told in (("commit_median_ms", "median commit, ms"), ("link_us", "one new link, us of CPU")):
        print(f"{told:42} {median(run[name] for run in runs):9.2f}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
