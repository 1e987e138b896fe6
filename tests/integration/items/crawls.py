"""Crawls of the spider whose pages are given, and the items and reports that they leave."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scrapy_t8 import read_report
from tests.support.crawl import Crawl, Run, Running

PROJECT = Path(__file__).parent / "project"
Items = list[dict[str, Any]]
QUEUE = "scrapy.squeues.FifoMemoryQueue"
FIFO = {"CONCURRENT_REQUESTS": 1, "SCHEDULER_MEMORY_QUEUE": QUEUE, "SCHEDULER_START_MEMORY_QUEUE": QUEUE}
"""One page after the other, in the order in which they are given."""


@dataclass(frozen=True)
class Crawled:
    """A run that has ended, and what is in its directory."""

    work: Path
    run: Run

    @property
    def code(self) -> int:
        return self.run.code

    @property
    def log(self) -> str:
        return self.run.log

    @property
    def in_order(self) -> Items:
        """The items of the feed as they stand there, without fields that are not filled."""
        path = self.work / "items.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [{name: value for name, value in json.loads(line).items() if value is not None} for line in lines]

    @property
    def items(self) -> Items:
        """The items of the feed, in an order that is always the same."""
        return sorted(self.in_order, key=str)

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


def start(work: Path, pages: Sequence[Items | str], **more: Any) -> Running:
    """Begin a crawl of *pages*.

    :param pages: the items of each; or the name of a file, without which no more pages come.
    :param more: as for :meth:`Crawl.start`; ``kind`` is the class of the items.
    """
    crawl = Crawl(PROJECT, None, work, "given", pages="pages.json", kind="dict", ITEM_PIPELINES={"given.Obedient": 300})
    # They go by way of a file: they may be longer than a command line.
    (work / "pages.json").write_text(json.dumps(pages), encoding="utf-8")
    return crawl.start(**more)


def crawl(work: Path, pages: Sequence[Items | str], **more: Any) -> Crawled:
    """Crawl *pages* to the end."""
    return Crawled(work, start(work, pages, **more).wait())
