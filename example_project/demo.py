"""Kill a crawl with kill -9 twice, resume it, and count what is lost: `python example_project/demo.py`."""

import argparse
import importlib.util
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from catalogue.data import load_cars
from tally import count, read_hits

PROJECT = Path(__file__).resolve().parent
ANSWER_TIME = 0.15  # seconds that the site takes for each answer: slow enough to kill a crawl in its midst
POLL = 0.02  # seconds
KILL_AT = (1 / 3, 2 / 3)  # shares of the cars


class DemoError(Exception):
    """The demo could not be carried out; the message says why."""


def main() -> int:
    options = _options()
    check_installed("scrapy", "aiohttp", *([] if options.plain else ["scrapy_t8"]))
    stop = Stop(options.limit)
    folder = Path(tempfile.mkdtemp(prefix="cars-demo-"))
    good = perform(Demo(folder, stop, plain=options.plain))
    if good:
        shutil.rmtree(folder)
    else:
        say("kept", f"{folder} has the feed, the hits of the site and the logs")
    return 0 if good else 1


def check_installed(*packages: str) -> None:
    for package in packages:
        if importlib.util.find_spec(package) is None:
            sys.exit(f"{package} is not installed for {sys.executable}")


def perform(demo: "Demo") -> bool:
    try:
        return demo.perform()
    except DemoError as error:
        say("stopped", str(error))
        return False


class Stop:
    """When to end early: the time limit, counted in seconds from now, and Ctrl-C or its likes."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._deadline = time.monotonic() + limit
        self._signal: int | None = None
        # The handler remembers and does not raise: an exception between the start of a process and the line
        # that looks after it would leave the process behind.
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), self._remember)

    def check(self, doing: str) -> None:
        """Raise DemoError if it is time to end."""
        if self._signal is not None:
            raise DemoError(f"by {signal.Signals(self._signal).name} while {doing}")
        if time.monotonic() > self._deadline:
            raise DemoError(f"{self._limit:g} seconds were not enough, still {doing}")

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        self._signal = number


class Demo:
    """One performance: the site, three turns of one crawl, two of them killed, and the count.

    Everything is written to `folder`. With `plain` the crawl goes without the pack, for comparison.
    """

    def __init__(self, folder: Path, stop: Stop, *, plain: bool) -> None:
        self._folder = folder
        self._stop = stop
        self._plain = plain
        self._cars = load_cars()
        self._feed = folder / "items.jsonl"
        self._hits = folder / "hits.log"

    def perform(self) -> bool:
        """True if the crawl was killed twice and yet nothing is lost, duplicated or damaged."""
        with self._running("site", self._site_command()) as site:
            base = self._wait_for_url(site)
            kills = [self._crawl_and_kill(turn, base, share) for turn, share in enumerate(KILL_AT, start=1)]
            finished = self._crawl_to_the_end(len(KILL_AT) + 1, base)
        result = count(self._cars, self._feed, self._hits, kills=sum(kills))
        print(f"\n{result.table()}\n")
        if not self._plain:
            self._tell_report()
        print(result.sentence(), flush=True)
        return finished and all(kills) and result.complete()

    def _tell_report(self) -> None:
        from scrapy_t8 import read_report
        from scrapy_t8.report.summary import summary

        job = self._folder / "job"
        print(f"{summary(read_report(job), job)}\n")

    def _site_command(self) -> list[str]:
        site = [sys.executable, "-m", "catalogue", "--port", "0"]
        return [*site, "--delay", str(ANSWER_TIME), "--hits", str(self._hits)]

    def _crawl_command(self, base: str) -> list[str]:
        crawl = [sys.executable, "-m", "scrapy", "crawl", "cars", "-O", str(self._feed), "-a", f"base={base}"]
        return [*crawl, "-s", f"JOBDIR={self._folder / 'job'}", *(["-s", "ADDONS={}"] if self._plain else [])]

    def _wait_for_url(self, site: subprocess.Popen[bytes]) -> str:
        log = self._log("site")
        self._wait(lambda: site.poll() is not None or b"\n" in log.read_bytes(), "starting the site")
        if site.poll() is not None:
            raise DemoError(f"the site did not start, see {log}")
        base = log.read_text().strip()
        say("site", f"{len(self._cars)} cars at {base}, every answer takes {ANSWER_TIME} seconds")
        return base

    def _crawl_and_kill(self, turn: int, base: str, share: float) -> bool:
        goal = round(len(self._cars) * share)
        with self._crawling(turn, base) as crawl:
            self._wait(lambda: crawl.poll() is not None or self._cars_fetched() >= goal, f"in crawl {turn}")
            crawl.kill()
            killed = crawl.wait() == -signal.SIGKILL
        if killed:
            say("kill -9", f"crawl {turn}, after {self._cars_fetched()} of {len(self._cars)} cars")
        elif crawl.returncode == 0:
            say(f"crawl {turn}", "ended by itself before the kill")
        else:
            raise DemoError(f"crawl {turn} failed, see {self._log(f'crawl-{turn}')}")
        return killed

    def _crawl_to_the_end(self, turn: int, base: str) -> bool:
        with self._crawling(turn, base) as crawl:
            self._wait(lambda: crawl.poll() is not None, f"in crawl {turn}")
        say(f"crawl {turn}", f"ended with exit status {crawl.returncode}")
        return crawl.returncode == 0

    @contextmanager
    def _crawling(self, turn: int, base: str) -> Iterator[subprocess.Popen[bytes]]:
        with self._running(f"crawl-{turn}", self._crawl_command(base)) as crawl:
            say(f"crawl {turn}", "started" if turn == 1 else "started, the same command again")
            yield crawl

    @contextmanager
    def _running(self, name: str, command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
        """Run a command, its output in a log; however the block is left, the process is gone then."""
        with self._log(name).open("wb") as log:
            # In a session of its own, so that a Ctrl-C comes to the demo alone and the demo ends the others.
            process = subprocess.Popen(
                command,
                cwd=PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                yield process
            finally:
                process.kill()
                process.wait()

    def _wait(self, done: Callable[[], bool], doing: str) -> None:
        while not done():
            self._stop.check(doing)
            time.sleep(POLL)

    def _cars_fetched(self) -> int:
        return sum(path.startswith("/cars/") for path in read_hits(self._hits))

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"


def say(who: str, what: str) -> None:
    print(f"{who:<10}{what}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Kill a crawl twice, resume it, count what is lost.")
    parser.add_argument("--plain", action="store_true", help="the same crawl without scrapy_t8")
    parser.add_argument("--limit", type=float, default=120, metavar="SECONDS", help="at most (%(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
