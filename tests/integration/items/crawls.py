"""Crawls of the spider whose pages are given, each run in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from scrapy_t8 import read_report

PROJECT = Path(__file__).parent / "mending"
Items = list[dict[str, Any]]


class Run:
    """One run that has ended."""

    def __init__(self, work: Path, status: int, log: str) -> None:
        self.work = work
        self.status = status
        self.log = log

    @property
    def items(self) -> Items:
        """Those of the feed, without fields that are not filled, in an order that is always the same."""
        path = self.work / "items.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        found = [{name: value for name, value in json.loads(line).items() if value is not None} for line in lines]
        return sorted(found, key=str)

    @property
    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads((self.work / "job/report/report.json").read_text(encoding="utf-8"))
        return report

    @property
    def counts(self) -> dict[str, int]:
        """What became of the items, without zeros."""
        items = read_report(self.work / "job")["ledger"]["items"]
        assert items["difference"] == 0
        return {name: count for name, count in items.items() if count and name != "difference"}


def command(pages: str, spider: str = "given", **settings: Any) -> list[str]:
    arguments = {"pages": pages, "kind": settings.pop("kind", "dict"), **settings.pop("arguments", {})}
    words = [sys.executable, "-m", "scrapy", "crawl", spider, "-o", "items.jsonl"]
    for name, value in arguments.items():
        words += ["-a", f"{name}={value}"]
    for name, value in {"JOBDIR": "job", "ITEM_PIPELINES": '{"given.Obedient": 300}', **settings}.items():
        words += ["-s", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    return words


def environment() -> dict[str, str]:
    paths = {"PYTHONPATH": f"{PROJECT}:{PROJECT.parents[2]}", "SCRAPY_SETTINGS_MODULE": "settings"}
    return {**os.environ, **paths}


def begin(work: Path, pages: list[Items], **settings: Any) -> subprocess.Popen[str]:
    """Begin a crawl of *pages*. They go by way of a file: they may be longer than a command line."""
    (work / "pages.json").write_text(json.dumps(pages), encoding="utf-8")
    words = command("pages.json", **settings)
    return subprocess.Popen(words, cwd=work, env=environment(), stderr=subprocess.PIPE, text=True)


def crawl(work: Path, pages: list[Items], **settings: Any) -> Run:
    """Crawl *pages* to the end."""
    process = begin(work, pages, **settings)
    _, log = process.communicate(timeout=60)
    return Run(work, process.returncode, log)
