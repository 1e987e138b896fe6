"""What five kill -9 cost a crawl, with JOBDIR, scrapy_t8, scrapy-redis and Crawlee: ``python -m benchmarks.kills``.

Each contender crawls the local site of the example project. It is killed each time it has fetched 60 more cars, and its
command is run again, until a run ends by itself. Then the items are compared with the data of the site.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = ROOT / "example_project"
KILLS = 5
CARS_PER_RUN = 60
ANSWER_TIME = 0.1  # seconds
TIME_LIMIT = 120.0  # seconds of one run
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
    """One way to crawl the cars."""

    name: str
    needs: Sequence[str]
    """Modules that have to be installed."""
    command: Sequence[str]
    """Arguments after the interpreter; ``{base}`` is the address of the site, ``{folder}`` where the state is."""
    redis: bool = False


def scrapy(**settings: str) -> list[str]:
    """Return the command of the example spider that appends its items to a feed."""
    given = [part for name, value in settings.items() for part in ("-s", f"{name}={value}")]
    return ["-m", "scrapy", "crawl", "cars", "-o", "{folder}/items.jsonl", "-a", "base={base}", *given]


CONTENDERS = [
    Contender("Scrapy, JOBDIR", ["scrapy"], scrapy(ADDONS="{{}}", JOBDIR="{folder}/job")),
    Contender("scrapy_t8", ["scrapy", "scrapy_t8"], scrapy(JOBDIR="{folder}/job")),
    Contender(
        "scrapy-redis",
        ["scrapy", "scrapy_redis"],
        scrapy(ADDONS="{{}}", REDIS_URL="unix://{folder}/redis.sock", **SCRAPY_REDIS),
        redis=True,
    ),
    Contender("Crawlee", ["crawlee"], [str(ROOT / "benchmarks" / "kills_crawlee.py"), "{base}", "{folder}"]),
]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=KILLS, help="how often each contender is killed (%(default)s)")
    options = parser.parse_args()
    print(f"{'':<16}{'kills':>6}{'lost':>6}{'doubled':>9}{'hits':>6}   the last run says")
    for contender in CONTENDERS:
        with tempfile.TemporaryDirectory(prefix="kills-", ignore_cleanup_errors=True) as folder:
            try:
                print(f"{contender.name:<16}{measure(contender, Path(folder), options.kills)}", flush=True)
            except KillsError as error:
                print(f"{contender.name:<16}not measured: {error}", flush=True)
    return 0


def measure(contender: Contender, folder: Path, kills: int) -> str:
    """Return the line of one contender: kills, items lost and doubled, cars fetched, and what its last run says.

    :raises KillsError: if something that the contender needs is missing, or a run does not end.
    """
    if missing := [name for name in contender.needs if importlib.util.find_spec(name) is None]:
        raise KillsError(f"{', '.join(missing)} is not installed")
    sys.path.insert(0, str(PROJECT))
    from catalogue.data import load_cars
    from tally import count, read_hits

    hits = folder / "hits.log"

    def fetched() -> int:
        return sum(times for path, times in read_hits(hits).items() if path.startswith("/cars/"))

    with site(folder, hits) as base, redis(folder) if contender.redis else contextlib.nullcontext():
        command = [sys.executable, *(part.format(base=base, folder=folder) for part in contender.command)]
        killed = 0
        while True:
            before, deadline = fetched(), time.monotonic() + TIME_LIMIT
            with (folder / "log").open("wb") as log:
                run = subprocess.Popen(command, cwd=PROJECT, stdout=log, stderr=subprocess.STDOUT, env=environment())
            while run.poll() is None and not (killed < kills and fetched() - before >= CARS_PER_RUN):
                if time.monotonic() > deadline:
                    run.kill()
                    raise KillsError(f"a run did not end in {TIME_LIMIT:g} s")
                time.sleep(POLL)
            if run.poll() is not None:
                break
            run.send_signal(signal.SIGKILL)
            run.wait()
            killed += 1
        result = count(load_cars(), items(folder), hits, kills=killed)
    log_text = (folder / "log").read_text(errors="replace")
    if run.returncode:
        raise KillsError(f"its command ended with {run.returncode}: {log_text.strip().splitlines()[-1][:150]}")
    return f"{killed:>6}{result.lost:>6}{result.duplicated:>9}{fetched():>6}   {verdict(log_text)}"


def environment() -> dict[str, str]:
    """Return the environment of a contender: T8's settings that this shell may have do not count."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("T8_", "CRAWLEE_"))}


def items(folder: Path) -> Path:
    """Return the file with the items as JSON lines; Crawlee has a file for each item."""
    feed = folder / "items.jsonl"
    found = [path for path in sorted(folder.glob("datasets/*/*.json")) if not path.name.startswith("__")]
    if found:
        feed.write_text("".join(json.dumps(json.loads(path.read_text())) + "\n" for path in found))
    return feed


def verdict(log: str) -> str:
    """Return what the last run says of itself: Scrapy's reason and scrapy_t8's verdict, or Crawlee's last counts."""
    lines = log.splitlines()
    wanted = ("Spider closed (", "Integrity report of ", "requests_finished", "requests_failed")
    found = [
        next(line[line.index(text) :] for line in reversed(lines) if text in line) for text in wanted if text in log
    ]
    return "; ".join(" ".join(part.replace("│", " ").split()) for part in found) or "nothing"


@contextlib.contextmanager
def site(folder: Path, hits: Path) -> Iterator[str]:
    """Run the site of the example project; give its address."""
    command = [sys.executable, "-m", "catalogue", "--port", "0", "--delay", str(ANSWER_TIME), "--hits", str(hits)]
    with (folder / "site.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=PROJECT, stdout=log, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + TIME_LIMIT
        while b"\n" not in (folder / "site.log").read_bytes():
            if process.poll() is not None or time.monotonic() > deadline:
                raise KillsError(f"the site did not start: {(folder / 'site.log').read_text()[-200:]}")
            time.sleep(POLL)
        yield (folder / "site.log").read_text().strip()
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[None]:
    """Run a Redis server that listens on a socket in *folder*. The server itself is never killed."""
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
