"""Processes of the torture, and what is done to them."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import redis

from scrapy_t8.stores.redis.connection import connect
from scrapy_t8.stores.redis.engine import RedisFrontier
from tests.support.process import Process, environment, wait_until
from tests.support.redis_server import RedisServer, binaries

SPIDER = "torture"
TTL = 1.0


class Lab:
    """A server, some workers, and one job.

    :param binary: name of the server.
    """

    def __init__(
        self, directory: Path, binary: str, *, pages: int, workers: int, options: tuple[str, ...] = ()
    ) -> None:
        self.directory = directory
        self.pages = pages
        self.server = RedisServer(binaries()[binary], directory / "server", *options)
        self.server.start()
        self.names = [f"worker-{number}" for number in range(workers)]
        self.running: dict[str, Process] = {}
        self.gone: set[str] = set()
        """Workers that are never started again."""
        self.what: list[str] = []

    def start(self, name: str) -> None:
        directory = self.directory / name
        directory.mkdir(exist_ok=True)
        process = Process(
            [
                "-m",
                "tests.crash.frontier.worker",
                self.server.url,
                SPIDER,
                name,
                str(directory),
                str(self.pages),
                str(TTL),
            ],
            self.directory,
            environment=environment(),
            log=directory / "log",
        )
        self.running[name] = process

    def settled(self) -> int:
        """Return how many pages are done; -1 while the server does not answer."""
        try:
            found: Any = self.server.client().hget(f"{{{SPIDER}}}:t8:ledger", "done")
        except redis.exceptions.RedisError:
            return -1
        return int(found or 0)

    def has_settled(self, count: int) -> bool:
        return self.settled() >= count

    def is_finished(self) -> bool:
        """Whether the job is finished, or may be in a moment."""
        return self.server.client().hget(f"{{{SPIDER}}}:t8:job", "state") != b"running"

    def kill_worker(self, name: str, *, for_ever: bool = False) -> None:
        self.running[name].kill()
        if for_ever:
            self.gone.add(name)
        else:
            self.start(name)

    def pause(self, name: str, seconds: float) -> None:
        """Stop a worker for longer than its session lasts."""
        self.running[name].send(signal.SIGSTOP)
        time.sleep(seconds)
        self.running[name].send(signal.SIGCONT)

    def kill_server(self, cut: int) -> None:
        """Kill the server, cut the end of its append-only file off, and start it again."""
        self.server.kill()
        if cut:
            self.server.cut(cut)
        self.server.start()

    def finish(self) -> None:
        """Let the job come to its end. A worker that has died is started again."""

        def over() -> bool:
            for name in self.names:
                if name not in self.gone and self.running[name].code not in (None, 0):
                    log = (self.directory / name / "log").read_text()
                    raise AssertionError(f"{name} has ended with {self.running[name].code}: {log[-2000:]}")
            return all(self.running[name].code == 0 for name in self.names if name not in self.gone)

        wait_until(over, "the end of the job")

    def found(self) -> Counter[int]:
        """Return the pages in all feeds, each feed cut to its record."""
        client = self.server.client()
        pages: Counter[int] = Counter()
        for name in self.names:
            size: Any = client.hget(f"{{{SPIDER}}}:t8:feed:{name}", "feed")
            data = (self.directory / name / "feed").read_bytes()
            assert len(data) >= int(size or 0)
            pages.update(int(line) for line in data[: int(size or 0)].split())
        return pages

    def check(self) -> None:
        """Check that each page was found once, and that the books balance."""
        found = self.found()
        lost = set(range(self.pages)) - set(found)
        doubled = {page: count for page, count in found.items() if count > 1}
        assert (len(lost), doubled) == (0, {}), (sorted(lost), doubled, self.what)
        client: Any = self.server.client()
        ledger = {name.decode(): int(value) for name, value in client.hgetall(f"{{{SPIDER}}}:t8:ledger").items()}
        assert (ledger["admitted"], ledger["leased"]) == (self.pages, 0), (ledger, self.what)
        assert client.hlen(f"{{{SPIDER}}}:t8:entry") == 0

    def stop(self) -> None:
        for process in self.running.values():
            if process.code is None:
                process.send(signal.SIGCONT)
                process.kill()
        self.server.stop()


def torture(lab: Lab, chance: random.Random, *, moments: int) -> None:
    """Do something bad at each of so many moments, which are counts of pages that are done."""
    for name in lab.names:
        lab.start(name)
    points = sorted(chance.randrange(1, lab.pages * 9 // 10) for _ in range(moments))
    for point in points:
        wait_until(partial(lab.has_settled, point), "progress", meanwhile=lambda: _any_lives(lab))
        if lab.is_finished():  # a cut goes further back than what the server has synced: it would undo the end
            break
        alive = [name for name in lab.names if name not in lab.gone]
        name = chance.choice(alive)
        what = chance.choice(["kill", "kill", "pause", "server", "cut", "gone"])
        if what == "gone" and len(lab.gone) >= len(lab.names) - 2:
            what = "kill"
        cut = chance.randrange(1, 40_000) if what == "cut" else 0
        lab.what.append(f"{what} {name} at {point}, {cut} bytes cut")
        if what in ("kill", "gone"):
            lab.kill_worker(name, for_ever=what == "gone")
        elif what == "pause":
            lab.pause(name, 2 * TTL)
        else:
            lab.kill_server(cut)
    lab.finish()


def _any_lives(lab: Lab) -> bool:
    return any(lab.running[name].code is None for name in lab.names if name not in lab.gone)


def frontier(lab: Lab) -> RedisFrontier:
    return RedisFrontier(connect(lab.server.url), SPIDER, where=lab.server.url, ttl=TTL)
