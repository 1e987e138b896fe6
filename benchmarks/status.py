"""How long does `scrapy t8 status` take on a job of ten million requests? See README.md."""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scrapy_t8.model.batch import CommitBatch

BAR = 1.0
"""Seconds from the start of the process to its end."""
HOSTS = 40
CALLBACKS = ("parse_list", "parse_detail", "parse_image")
AT_ONCE = 20_000
JOB = "job_20260101_000000_abcd"


def host(number: int) -> str:
    return f"host-{number % HOSTS}.example.com"


def build(directory: Path, seen: int, pending: int, dead: int) -> None:
    """A job that died with so many requests seen, pending (a tenth of them waits) and dead; the rest is done."""
    from scrapy_t8.model.job import JobRecord, Ledger
    from scrapy_t8.stores.sqlite.store import SQLiteStore

    store, now = SQLiteStore(directory / "t8"), time.time()
    store.open()
    done, waiting = seen - pending - dead, pending // 10
    ledger = Ledger(admitted=seen, done=done, dead=dead, scraped=done, exported=done)
    job = JobRecord(JOB, "bench", {}, now - 3600, ledger=ledger, start_done=True)
    store.begin_job(job)
    store.begin_run(now - 3600, 5)
    for part in (_seen(seen), _ready(pending - waiting), _waiting(waiting, now), _dead(dead, now), _done(done)):
        for batch in part:
            store.commit(batch, job, now)
    store.close()


def _slices(count: int) -> Iterator[range]:
    return (range(first, min(first + AT_ONCE, count)) for first in range(0, count, AT_ONCE))


def _seen(count: int) -> Iterator[CommitBatch]:
    from scrapy_t8.model.batch import CommitBatch

    step = (1 << 63) // max(1, count)
    for numbers in _slices(count):
        yield CommitBatch(seen=[number * step for number in numbers])


def _ready(count: int) -> Iterator[CommitBatch]:
    from scrapy_t8.model.batch import CommitBatch
    from scrapy_t8.model.entry import QueueRecord, entry_id

    encode = Encoder()
    queues = [QueueRecord(number + 1, f"0/{host(number)}", host(number)) for number in range(HOSTS)]
    for numbers in _slices(count):
        for number in numbers:
            queues[number % HOSTS].stored += 1
        added = [(entry_id(number % HOSTS + 1, number), encode.request(number), None) for number in numbers]
        yield CommitBatch(queues=queues, added=sorted(added))


def _waiting(count: int, now: float) -> Iterator[CommitBatch]:
    from scrapy_t8.model.attempts import AttemptHistory, ScheduledRetry
    from scrapy_t8.model.batch import CommitBatch
    from scrapy_t8.model.entry import entry_id

    encode, story = Encoder(), AttemptHistory()
    story.add(now, "network", "timed out", charged=True)
    for numbers in _slices(count):
        ids = sorted((entry_id(number % HOSTS + 1, (1 << 30) + number), number) for number in numbers)
        yield CommitBatch(
            waiting=[ScheduledRetry(i, now + n / 100, host(n), encode.request(n), story.dumps()) for i, n in ids]
        )


def _dead(count: int, now: float) -> Iterator[CommitBatch]:
    from scrapy_t8.model.attempts import AttemptHistory
    from scrapy_t8.model.batch import CommitBatch
    from scrapy_t8.model.dead_letter import DeadLetter

    encode, story = Encoder(), AttemptHistory()
    story.add(now, "http", "404 Not Found", charged=True)
    detail = json.dumps({"traceback": "  File somewhere, line 1, in parse\n" * 50})
    for numbers in _slices(count):
        letters = [
            DeadLetter(
                entry=n,
                payload=encode.request(n),
                kind="http",
                error=f"{400 + n % 5} Not Found",
                buried_at=now,
                url=f"https://{host(n)}/page/{n}",
                host=host(n),
                callback=CALLBACKS[n % 3],
                status=400 + n % 5,
                fingerprint=n,
                job=JOB,
                spider="bench",
                task_type="DETAIL_COLLECTION",
                target=f"car-{n}",
                story=story.dumps(),
                detail=detail,
            )
            for n in numbers
        ]
        yield CommitBatch(buried=letters)


def _done(count: int) -> Iterator[CommitBatch]:
    from scrapy_t8.model.batch import CommitBatch

    tally = {("host/done", host(number)): count // HOSTS for number in range(HOSTS)}
    tally |= {("callback/done", name): count // len(CALLBACKS) for name in CALLBACKS}
    yield CommitBatch(tally=tally, progress=(count, count, 0))


class Encoder:
    """Makes stored requests, each like those of a real crawl."""

    def __init__(self) -> None:
        from scrapy import Spider

        from scrapy_t8.model.codec import Codec

        class Bench(Spider):
            name = "bench"

            def parse_list(self, response: object) -> None: ...
            def parse_detail(self, response: object) -> None: ...
            def parse_image(self, response: object) -> None: ...

        self._spider = Bench()
        self._codec = Codec(self._spider)

    def request(self, number: int) -> bytes:
        from scrapy import Request

        callback = getattr(self._spider, CALLBACKS[number % len(CALLBACKS)])
        url = f"https://{host(number)}/catalogue/car-{number}?page=1"
        return self._codec.encode_request(Request(url, callback, meta={"depth": 3, "download_slot": host(number)}))


def measure(directory: Path, *options: str) -> tuple[float, dict[str, object]]:
    """Seconds that the command takes, and what it says."""
    command = [sys.executable, "-m", "scrapy", "t8", "status", "--json", "--jobdir", str(directory), *options]
    began = time.perf_counter()
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=directory.parent).stdout
    return time.perf_counter() - began, json.loads(said)


def start() -> float:
    """Seconds that Scrapy takes to do nothing."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "scrapy", "version"], check=True, stdout=subprocess.PIPE)
    return time.perf_counter() - began


def check(document: dict[str, object], options: argparse.Namespace) -> bool:
    """Whether the figures are those that were built."""
    states = document["requests"]
    assert isinstance(states, dict)
    hosts, callbacks = document["hosts"], document["callbacks"]
    assert isinstance(hosts, list)
    assert isinstance(callbacks, list)
    counted = (hosts, callbacks) if document["callbacks_exact"] else (hosts,)
    pending = [sum(row["ready"] + row["waiting"] for row in rows) for rows in counted]
    dead = [sum(row["dead"] for row in rows) for rows in (hosts, callbacks)]
    return (
        (states["admitted"], states["difference"]) == (options.seen, 0)
        and {states["ready"] + states["waiting"], *pending} == {options.pending}
        and [states["dead"], *dead] == [options.dead] * 3
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.status", description=__doc__)
    parser.add_argument("--seen", type=int, default=10_000_000)
    parser.add_argument("--pending", type=int, default=1_000_000)
    parser.add_argument("--dead", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="t8-bench-") as name:
        job = Path(name) / "job"
        build(job, options.seen, options.pending, options.dead)
        size = (job / "t8/state.db").stat().st_size >> 20
        taken = [measure(job) for _ in range(options.runs)]
        exact, document = measure(job, "--exact")
    seconds = statistics.median(took for took, _ in taken)
    is_right = all(check(document, options) for document in (document, *(found for _, found in taken)))
    print(f"{options.seen:,} seen, {options.pending:,} pending, {options.dead:,} dead; state file {size} MB")
    print(f"figures    {'as built' if is_right else 'WRONG'}")
    print(f"seconds    {seconds:6.2f}  <= {BAR:g} {'pass' if seconds <= BAR else 'FAIL'} (median of {options.runs})")
    print(f"--exact    {exact:6.2f}")
    print(f"of each    {statistics.median(start() for _ in range(options.runs)):6.2f} are 'scrapy version'")
    print(f"SQLite {sqlite3.sqlite_version}, Python {sys.version.split()[0]}")
    return int(seconds > BAR or not is_right)


if __name__ == "__main__":
    sys.exit(main())
