"""Is a full dead-letter box still quick? Look at it, and empty it, with 100,000 letters in it.

``python -m benchmarks.letters`` fills a box once, in a process of its own, and copies it for every run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

BAR = 1.0
STEPS = {
    "letters": "a look at the first 100",
    "groups": "all of them by cause",
    "revive": "revive all",
    "discard": "discard all",
}
CAUSES = 200
HOSTS = 50


def build(directory: Path, letters: int, body: int) -> None:
    """A job that has given up on all its requests."""
    from scrapy import Request

    from scrapy_t8.model.attempts import AttemptHistory
    from scrapy_t8.model.batch import CommitBatch
    from scrapy_t8.model.codec import Codec
    from scrapy_t8.model.dead_letter import DeadLetter
    from scrapy_t8.model.entry import entry_id
    from scrapy_t8.model.job import JobRecord, Ledger
    from scrapy_t8.stores.sqlite.store import SQLiteStore

    store, codec = SQLiteStore(directory), Codec()
    job = JobRecord("job", "letters", {}, 0.0, next_seq=letters + 1, ledger=Ledger(admitted=letters, dead=letters))
    store.open()
    store.begin_job(job)
    store.begin_run(0.0, 5)
    story = AttemptHistory(target="", task_type="DETAIL_COLLECTION", max_retries=3)
    for attempt in range(3):
        story.add(float(attempt), "http", "503 Service Unavailable", charged=True)

    def letter(number: int) -> DeadLetter:
        url = f"https://host-{number % HOSTS}.example.com/catalogue/page/{number}?sort=latest&batch=batch_1"
        headers = {"Referer": url, "Accept-Language": "en", "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) " * 3}
        payload = codec.encode_request(Request(url, headers=headers, meta={"depth": 3, "retry_times": 2}))
        told = story.dumps()
        detail = json.dumps({"traceback": "x" * (body - len(payload) - len(told) - 20)})
        return DeadLetter(
            entry=entry_id(1 + number % 3, number),
            payload=payload,
            kind="http",
            error=f"503 Service Unavailable in {number % CAUSES}",
            buried_at=float(number),
            url=url,
            host=f"host-{number % HOSTS}.example.com",
            callback="parse_detail",
            status=503,
            fingerprint=number * 92_233_720_368_547 % 2**63,
            job=job.id,
            spider="letters",
            story=told,
            detail=detail,
        )

    for start in range(1, letters + 1, 10_000):
        store.commit(CommitBatch(buried=[letter(n) for n in range(start, min(start + 10_000, letters + 1))]), job, 0.0)
    store.end_run(0.0, "shutdown", job)
    store.close()


def measure(directory: Path, step: str) -> float:
    """Seconds of one step, in a box just opened."""
    from scrapy_t8.model.dead_letter import LetterFilter
    from scrapy_t8.stores.sqlite.store import SQLiteStore

    store = SQLiteStore(directory)
    store.open()
    job = store.job()
    assert job is not None
    letters = store.box.count()
    steps: dict[str, Callable[[], object]] = {
        "letters": lambda: len(store.box.letters(limit=100)) == 100,
        "groups": lambda: sum(group.count for group in store.box.groups()) == letters,
        "revive": lambda: store.box.revive(LetterFilter(), job, 1.0) == letters == store.count_waiting(),
        "discard": lambda: store.box.discard(LetterFilter(), job) == letters == job.ledger.discarded,
    }
    began = time.perf_counter()
    assert steps[step]()
    seconds = time.perf_counter() - began
    store.close()
    return seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--letters", type=int, default=100_000)
    parser.add_argument("--body", type=int, default=3000, help="bytes of request, story and detail of one letter")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--step", choices=["build", *STEPS], help=argparse.SUPPRESS)
    parser.add_argument("--dir", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step == "build":
        build(options.dir, options.letters, options.body)
    elif options.step:
        print(measure(options.dir, options.step))
    else:
        with tempfile.TemporaryDirectory(prefix="t8-letters-") as name:
            return report(Path(name), options)
    return 0


def run(step: str, directory: Path, options: argparse.Namespace) -> str:
    """One step in a process of its own, so that what it leaves in memory disturbs nobody."""
    sizes = ["--letters", str(options.letters), "--body", str(options.body)]
    command = [sys.executable, "-m", "benchmarks.letters", "--step", step, "--dir", str(directory), *sizes]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def report(directory: Path, options: argparse.Namespace) -> int:
    full, work = directory / "full", directory / "work"
    run("build", full, options)
    size = (full / "state.db").stat().st_size / 2**20
    print(f"{options.letters:,} letters of {options.body:,} bytes, state file {size:.0f} MB")
    passed = True
    for step, told in STEPS.items():
        seconds = []
        for _ in range(options.runs):
            shutil.copytree(full, work)
            seconds.append(float(run(step, work, options)))
            shutil.rmtree(work)
        figure = median(seconds)
        passed &= figure <= BAR
        spread = f"({min(seconds):.2f} .. {max(seconds):.2f})"
        print(f"{told + ', s':28} {figure:6.2f}  {spread}  <= {BAR:g} {'pass' if figure <= BAR else 'FAIL'}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
