"""One trial: a crawl that is ended in every way its plan says, and then left in peace until its job has finished."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .books import Books, read_books
from .plan import BEFORE, Plan, Variant
from .run import HERE, Run, Runner
from .torture_site import Hit, Server

FIELDS = ["kind", "page", "number", "note"]
Item = tuple[str, ...]


@dataclass(frozen=True)
class Truth:
    """What an undisturbed crawl under plain Scrapy brings and asks for."""

    items: Counter[Item]
    hits: Counter[str]
    seconds: float


@dataclass
class Trial:
    """A plan that is being carried out.

    :param crawl: the name of the crawl, which its server knows it by.
    """

    plan: Plan
    truth: Truth
    runner: Runner
    server: Server
    directory: Path
    crawl: str
    runs: list[Run] = field(default_factory=list)
    books: list[Books | None] = field(default_factory=list)
    """After each run."""

    @property
    def work(self) -> Path:
        """Where the crawl runs."""
        return self.directory / "work"

    @property
    def finished(self) -> bool:
        return bool(self.books and self.books[-1] is not None and self.books[-1].finished)

    @property
    def kills(self) -> int:
        return sum(run.died for run in self.runs)

    def carry_out(self) -> None:
        """Run, end, run again."""
        self.work.mkdir()
        for name, option in self.plan.variant.feeds.items():
            if option == "-o":
                (self.work / name).write_bytes(BEFORE)
        for end in self.plan.ends:
            with self.run(end.fault) as run:
                end.strike(run, self._hits_left())
            if self.finished:
                return
        for _ in range(self.plan.reruns):
            with self.run():
                pass
            if self.finished:
                return

    @contextmanager
    def run(self, fault: str | None = None) -> Iterator[Run]:
        """Give the command once more."""
        number = len(self.runs) + 1
        arguments = command(self.plan.variant, self._spider_arguments(), self.plan.settings)
        log = self.directory / f"run-{number}.log"
        with self.runner.running(number, arguments, self.work, log, self.server.log_of(self.crawl), fault) as run:
            self.runs.append(run)
            yield run
        self.books.append(read_books(self.work))

    def hits(self) -> list[Hit]:
        return self.server.hits(self.crawl)

    def _hits_left(self) -> int:
        made = Counter(hit.page for hit in self.hits())
        return max(1, (self.truth.hits - made).total())

    def _spider_arguments(self) -> dict[str, str]:
        return {"base": f"{self.server.url}/{self.crawl}", **self.plan.arguments}


def command(variant: Variant, arguments: Mapping[str, str], settings: Mapping[str, str]) -> list[str]:
    """The words after ``scrapy``."""
    words = ["runspider", str(HERE / "torture_spider.py")]
    for name, option in variant.feeds.items():
        words += [option, name]
    for name, value in arguments.items():
        words += ["-a", f"{name}={value}"]
    jobdir = {"JOBDIR": "job"} if variant.jobdir else {}
    for name, value in {
        "LOG_LEVEL": "INFO",
        "TELNETCONSOLE_ENABLED": "0",
        "RETRY_TIMES": "2",
        "T8_RETRY_BASE": "0.05",
        **jobdir,
        **variant.settings,
        **settings,
    }.items():
        words += ["-s", f"{name}={value}"]
    return words


# -- items -------------------------------------------------------------------------------------------------------


class Corrupt(AssertionError):
    """A feed that cannot be read."""


def read_items(path: Path) -> Counter[Item]:
    """The items of a feed of any kind, each as the texts of its fields.

    :raises Corrupt: if any line of it is not what it should be.
    """
    text = path.read_text(encoding="utf-8")
    readers: dict[str, Callable[[str], list[dict[str, object]]]]
    readers = {".jsonl": _json_lines, ".json": json.loads, ".csv": _csv_rows}
    try:
        found = readers[path.suffix](text)
        assert all(list(item) == FIELDS for item in found), "fields"
    except (ValueError, AssertionError, csv.Error, TypeError) as error:
        raise Corrupt(f"{path}: {error}") from error
    return Counter(tuple(str(value) for value in item.values()) for item in found)


def _json_lines(text: str) -> list[dict[str, object]]:
    assert not text or text.endswith("\n"), "the last line is cut off"
    return [json.loads(line) for line in text.split("\n")[:-1]]


def _csv_rows(text: str) -> list[dict[str, object]]:
    header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert header == FIELDS, "header"
    assert all(len(row) == len(FIELDS) for row in rows), "a row is cut off"
    return [dict(zip(header, row, strict=True)) for row in rows]
