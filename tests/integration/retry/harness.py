"""A crawl of the site that fails, in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

from scrapy_t8.core.offline.dead_letters import open_dead_letters

HERE = Path(__file__).parent
QUICK = {"T8_RETRY_BASE": "0.2", "T8_RETRY_CAP": "1", "T8_BREAKER_PROBE": "0.5", "T8_BREAKER_PROBE_CAP": "2"}


class Crawl:
    """A job, and the site that it crawls."""

    def __init__(self, work: Path, port: int) -> None:
        self.work = work
        self.url = f"http://127.0.0.1:{port}"

    def begin(
        self, *paths: str, env: dict[str, str] | None = None, script: str = "", **settings: Any
    ) -> subprocess.Popen[str]:
        """Give the command.

        :param script: a copy of the spider in the directory of the crawl, to be used in its place.
        """
        file = self.work / script if script else HERE / "spider.py"
        if not file.exists():
            file.write_text((HERE / "spider.py").read_text())
        given = {
            "ADDONS": '{"scrapy_t8.T8Addon": 500}',
            "TELNETCONSOLE_ENABLED": "0",
            "JOBDIR": "job",
            "ITEM_PIPELINES": json.dumps({"spider.Pipeline": 1}),
            **QUICK,
            **settings,
        }
        words = [f"{name}={value}" for name, value in given.items()]
        options = [word for pair in words for word in ("-s", pair)]
        command = [sys.executable, "-m", "scrapy", "runspider", str(file), "-o", "items.jsonl"]
        arguments = ["-a", f"site={self.url}", "-a", f"paths={','.join(paths)}"]
        return subprocess.Popen(
            [*command, *arguments, *options],
            cwd=self.work,
            env={**os.environ, "PYTHONPATH": f"{HERE}:{HERE.parents[1]}", **(env or {})},
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *paths: str, **settings: Any) -> str:
        """Crawl to the end. Returns the log."""
        process = self.begin(*paths, **settings)
        _, self.log = process.communicate(timeout=100)
        assert "Traceback" not in self.log or settings.get("env"), self.log
        return self.log

    def killed(self, after: float, *paths: str, **settings: Any) -> None:
        """Kill a run some seconds after its first hit."""
        before, process = len(self.hits), self.begin(*paths, **settings)
        deadline = time.monotonic() + 30
        while len(self.hits) == before and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.02)
        time.sleep(after)
        process.send_signal(signal.SIGKILL)
        _, log = process.communicate()
        assert process.returncode == -signal.SIGKILL, f"it has ended before it was killed\n{log}"

    @property
    def items(self) -> Counter[str]:
        return Counter(json.loads(line)["path"] for line in (self.work / "items.jsonl").read_text().splitlines())

    @property
    def hits(self) -> list[tuple[float, str]]:
        with urllib.request.urlopen(f"{self.url}/hits") as answer:
            return [(when, path) for when, path in json.load(answer)]

    def hits_of_mine(self) -> list[tuple[float, str]]:
        """Those of pages that are named after the test."""
        return [(when, path) for when, path in self.hits if self.work.name in path]

    def times(self) -> dict[str, list[float]]:
        """When each of them was asked for."""
        found: dict[str, list[float]] = {}
        for when, path in self.hits_of_mine():
            found.setdefault(path, []).append(when)
        return found

    def most_in_a_second(self) -> int:
        times = [when for when, _ in self.hits_of_mine()]
        return max(sum(begin <= when < begin + 1 for when in times) for begin in times)

    def outage(self, seconds: float) -> None:
        """Begin an outage of the pages under ``down``."""
        urllib.request.urlopen(f"{self.url}/outage?seconds={seconds}").read()
        self.down_until = time.time() + seconds

    def letters(self) -> Counter[str]:
        """The dead letters by kind."""
        with open_dead_letters(self.work / "job") as letters:
            return Counter(letter.kind for letter in letters.list())

    def books(self) -> dict[str, int]:
        """The ledger, with what waits and what is ready; balanced."""
        db = sqlite3.connect(self.work / "job/t8/state.db")
        record = json.loads(db.execute("SELECT record FROM job").fetchone()[0])
        ledger = record["ledger"]
        waiting = db.execute("SELECT count(*) FROM waiting").fetchone()[0]
        ready = db.execute("SELECT count(*) FROM entry").fetchone()[0]
        db.close()
        assert ledger["admitted"] == ledger["done"] + ledger["discarded"] + ledger["dead"] + waiting + ready
        return {**ledger, "waiting": waiting, "ready": ready, "finished": record["finished"]}


def both(*paths: str) -> Counter[str]:
    """The two items of each page."""
    return Counter(f"/{path}{part}" for path in paths for part in ("", "#second"))
