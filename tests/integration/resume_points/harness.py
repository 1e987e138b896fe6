"""Crawls of the site in processes of their own, and a look at their resume points."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

from scrapy_t8.core.offline.dead_letters import open_dead_letters
from scrapy_t8.model.batch import PointRecord
from scrapy_t8.stores.sqlite.store import SQLiteStore

HERE = Path(__file__).parent


class Crawl:
    """A job, and the site that it crawls."""

    def __init__(self, work: Path, port: int) -> None:
        self.work = work
        self.jobdir = work / "job"
        self.url = f"http://127.0.0.1:{port}"
        self.set(pages=40, delay=0.02, jump=0, around=0, gone=0, shift=0, slow=30, robotless=0)
        self._hits_before = len(self._all_hits())

    def set(self, **values: float) -> None:
        """Change the site."""
        urllib.request.urlopen(f"{self.url}/set?{urllib.parse.urlencode(values)}").read()

    def begin(self, spider: str, *, settings: dict[str, Any] | None = None, **arguments: Any) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "scrapy", "crawl", spider, "-o", "items.jsonl", "-a", f"site={self.url}"]
        for name, value in arguments.items():
            words += ["-a", f"{name}={value}"]
        for name, value in {"JOBDIR": "job", **(settings or {})}.items():
            words += ["-s", f"{name}={value}"]
        paths = {"PYTHONPATH": f"{HERE}:{HERE.parents[1]}", "SCRAPY_SETTINGS_MODULE": "settings"}
        environment = {**os.environ, **paths}
        return subprocess.Popen(words, cwd=self.work, env=environment, stderr=subprocess.PIPE, text=True)

    def run(self, spider: str, **arguments: Any) -> str:
        """Crawl to the end. Returns the log."""
        process = self.begin(spider, **arguments)
        _, log = process.communicate(timeout=1200)
        self.log = log
        return log

    def killed(self, after: float, spider: str, *, hits: int = 1, **arguments: Any) -> None:
        """Kill a run some seconds after its *hits*-th hit."""
        enough, process = self._count() + hits, self.begin(spider, **arguments)
        deadline = time.monotonic() + 60
        while self._count() < enough and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.01)
        time.sleep(after)
        process.send_signal(signal.SIGKILL)
        _, log = process.communicate()
        assert process.returncode == -signal.SIGKILL, f"it has ended before it was killed\n{log}"

    def _count(self) -> int:
        with urllib.request.urlopen(f"{self.url}/count") as answer:
            return int(json.load(answer))

    @property
    def items(self) -> Counter[str]:
        lines = (self.work / "items.jsonl").read_text().splitlines()
        return Counter(json.loads(line)["slug"] for line in lines)

    def put_point(self, task_type: str, name: str, **fields: Any) -> None:
        """Set a resume point by hand, before the crawl."""
        told = {
            "task_type": task_type,
            "current_page": 0,
            "last_cursor": None,
            "last_slug": None,
            "total_processed": 0,
            "last_update": "2026-01-01T00:00:00",
            "metadata": {},
            **fields,
        }
        store = SQLiteStore(self.jobdir / "t8")
        store.open()
        store.points.put(PointRecord(task_type, name, 0.0, json.dumps(told)))
        store.close()

    def letters(self) -> Counter[str]:
        """The dead letters by kind."""
        with open_dead_letters(self.jobdir) as letters:
            return Counter(letter.kind for letter in letters.list())

    def points(self) -> dict[tuple[str, str], dict[str, Any]]:
        db = sqlite3.connect(self.jobdir / "t8/state.db")
        rows = db.execute("SELECT task_type, name, record FROM point").fetchall()
        db.close()
        return {(task_type, name): json.loads(record) for task_type, name, record in rows}

    def _all_hits(self) -> list[tuple[float, str, int]]:
        with urllib.request.urlopen(f"{self.url}/hits") as answer:
            return [(when, path, status) for when, path, status in json.load(answer)]

    def hits(self) -> list[tuple[float, str, int]]:
        """Those of this test."""
        return self._all_hits()[self._hits_before :]

    def served(self, prefix: str) -> set[str]:
        """What follows *prefix* in the paths that were served well."""
        return {
            path.removeprefix(prefix).partition("&")[0].partition("?bad")[0]
            for _, path, status in self.hits()
            if path.startswith(prefix) and status == 200
        }


def cars(*tags: str, pages: int = 40) -> Counter[str]:
    return Counter(f"{tag}-{page}-{n}" for tag in tags for page in range(1, pages + 1) for n in range(5))
