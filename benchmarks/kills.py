"""What five kill -9 cost a crawl, with JOBDIR, scrapy_t8, scrapy-redis and Crawlee: ``python -m benchmarks.kills``.

Each contender crawls the same local site. It is killed each time it has fetched a seventh of the pages, and its command
is run again, until a run ends by itself. Then its items are compared with the products of the site.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench_crawl import environment
from benchmarks.bench_server import HITS, ROOT, Site, serving

KILLS = 5
PAGES = 3000
TIME_LIMIT = 300.0  # seconds of one run
POLL = 0.02  # seconds
SCRAPY_REDIS = {
    "SCHEDULER": "scrapy_redis.scheduler.Scheduler",
    "DUPEFILTER_CLASS": "scrapy_redis.dupefilter.RFPDupeFilter",
    "SCHEDULER_PERSIST": "True",
}


class KillsError(Exception):
    """A contender could not run; the message says why."""


@dataclass(frozen=True)
class Contender:
    """One way to crawl the site."""

    name: str
    needs: Sequence[str]
    """Modules that have to be installed."""
    command: Sequence[str]
    """Arguments of the interpreter; ``{site}`` is the address of the site, ``{spider}`` its shape."""
    redis: bool = False


def scrapy(**settings: str) -> list[str]:
    """Return the command of the benchmarks' spider that appends its items to a feed."""
    given = [part for name, value in settings.items() for part in ("-s", f"{name}={value}")]
    return ["-m", "scrapy", "crawl", "{spider}", "-o", "items.jsonl", "-a", "site={site}", *given]


CONTENDERS = [
    Contender("Scrapy, JOBDIR", ["scrapy"], scrapy(JOBDIR="job")),
    Contender("scrapy_t8", ["scrapy", "scrapy_t8"], scrapy(JOBDIR="job", ADDONS='{{"scrapy_t8.T8Addon": 500}}')),
    Contender(
        "scrapy-redis",
        ["scrapy", "scrapy_redis"],
        scrapy(REDIS_URL="unix://{folder}/redis.sock", **SCRAPY_REDIS),
        redis=True,
    ),
    Contender("Crawlee", ["crawlee"], [str(ROOT / "benchmarks" / "kills_crawlee.py"), "{site}"]),
]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=KILLS, help="how often each contender is killed (%(default)s)")
    parser.add_argument("--pages", type=int, default=PAGES, help="products of the site (%(default)s)")
    parser.add_argument("--only", default="", metavar="NAME", help="the contenders whose names contain this")
    options = parser.parse_args()
    for spider, shape in (("pages", "lists, each with 50 products"), ("links", "products that link to each other")):
        print(f"{options.pages} products; {shape}")
        print(f"{'':<16}{'kills':>6}{'lost':>6}{'doubled':>9}{'hits':>7}   what the last run says")
        for contender in (each for each in CONTENDERS if options.only in each.name):
            with tempfile.TemporaryDirectory(prefix="kills-", ignore_cleanup_errors=True) as folder:
                try:
                    line = measure(contender, spider, Path(folder), options.pages, options.kills)
                except KillsError as error:
                    line = f"   not measured: {error}"
                print(f"{contender.name:<16}{line}", flush=True)
    return 0


def measure(contender: Contender, spider: str, folder: Path, pages: int, kills: int) -> str:
    """Return the line of one contender: kills, items lost and doubled, pages served, and what its last run says.

    :raises KillsError: if something that the contender needs is missing, or a run does not end.
    """
    if missing := [name for name in contender.needs if importlib.util.find_spec(name) is None]:
        raise KillsError(f"{', '.join(missing)} is not installed")
    with serving(spider, pages) as site, redis(folder) if contender.redis else contextlib.nullcontext():
        command = [
            sys.executable,
            *(part.format(site=site.url, spider=spider, folder=folder) for part in contender.command),
        ]
        killed = 0
        while run(command, folder, site, pages // (KILLS + 2) if killed < kills else None):
            killed += 1
        served = hits(site)
    found = Counter(items(folder))
    lost, doubled = pages - len(found), found.total() - len(found)
    return f"{killed:>6}{lost:>6}{doubled:>9}{served:>7}   {verdict((folder / 'log').read_text(errors='replace'))}"


def run(command: Sequence[str], folder: Path, site: Site, most: int | None) -> bool:
    """Run *command* and kill it once it has fetched *most* pages. Return whether it was killed.

    :raises KillsError: if the run fails, or does not end.
    """
    before, deadline = hits(site), time.monotonic() + TIME_LIMIT
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment())
    try:
        while (status := process.poll()) is None:
            if most is not None and hits(site) - before >= most:
                process.kill()
                return process.wait() == -signal.SIGKILL
            if time.monotonic() > deadline:
                raise KillsError(f"a run did not end in {TIME_LIMIT:g} s")
            time.sleep(POLL)
    finally:
        process.kill()
        process.wait()
    if status:
        last = (folder / "log").read_text(errors="replace").strip().splitlines()[-1:]
        raise KillsError(f"its command ended with {status}: {''.join(last)[:150]}")
    return False


def hits(site: Site) -> int:
    """Return how many requests the site has answered."""
    with urllib.request.urlopen(site.url + HITS.decode()) as answer:
        return int(answer.read())


def items(folder: Path) -> Iterator[str]:
    """Yield the number of the product of each item. Crawlee has a file for each item."""
    feed = folder / "items.jsonl"
    texts = feed.read_text().splitlines() if feed.exists() else []
    texts += [path.read_text() for path in folder.glob("storage/datasets/*/*.json") if path.stem.isdigit()]
    for text in texts:
        with contextlib.suppress(ValueError):  # a torn line
            yield json.loads(text)["sku"]


def verdict(log: str) -> str:
    """Return what the last run says of itself: Scrapy's reason and scrapy_t8's verdict, or Crawlee's last counts."""
    lines = log.splitlines()
    wanted = ("Spider closed (", "Integrity report of ", "requests_finished", "requests_failed")
    found = [
        next(line[line.index(text) :] for line in reversed(lines) if text in line) for text in wanted if text in log
    ]
    return "; ".join(" ".join(part.replace("│", " ").split()) for part in found) or "nothing"


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[None]:
    """Run a Redis server that listens on a socket in *folder*. The server is not killed."""
    if (server := shutil.which("redis-server")) is None:
        raise KillsError("there is no redis-server in the PATH")
    socket = folder / "redis.sock"
    command = [server, "--port", "0", "--unixsocket", str(socket), "--dir", str(folder), "--save", ""]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + TIME_LIMIT
        while not socket.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise KillsError("redis-server did not start")
            time.sleep(POLL)
        yield
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
